"""Snapshots and restores over S3 beside restic, and rclone for what plain copying takes: on one SeaweedFS, near and 50 ms away."""

import json
import os
import random
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from . import measure
from .delayproxy import DelayProxy
from .work import Bench, Figure, Sample

SCALE = float(os.environ.get("REPO_BENCH_SCALE", "1"))
BYTES = int(SCALE * 2_000_000_000)
FILE_BYTES = 5_000_000
DELAY = 0.050
SERVERS = Path(__file__).resolve().parents[2] / ".build" / "test-servers" / "bin"
ACCESS, SECRET, BUCKET = "benchadmin", "benchsecret", "bench"
FEW_REQUESTS = 20


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _make_data(folder: Path):
    """Files that compress to about half, of which no two have anything in common."""
    numbers = random.Random(2026)
    words = [bytes(numbers.choices(b"abcdefghijklmnopqrstuvwxyz", k=7)) + b" " for _ in range(64)]
    for number in range(max(1, BYTES // FILE_BYTES)):
        path = folder / f"{number // 20:03}" / f"{number:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            for _ in range(FILE_BYTES // 16_384):
                file.write(numbers.randbytes(7_000))
                file.write(b"".join(numbers.choices(words, k=1173)))


@contextmanager
def _server(folder: Path):
    """SeaweedFS with one bucket; yields its S3 port."""
    ports = _free_ports(8)
    identity = {"name": ACCESS, "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}], "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "data").mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = ("master", "volume", "filer", "s3")
    process = subprocess.Popen(
        [
            str(SERVERS / "weed"), "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=1024",
            "-volume.max=40", "-filer", "-s3", "-s3.config=s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0",
            *[f"-{name}.port={port}" for name, port in zip(names, ports)],
            *[f"-{name}.port.grpc={port}" for name, port in zip(names, ports[4:])],
        ],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        environment = _rclone(ports[3])
        for command in (["mkdir", f"bench:{BUCKET}"], ["copyto", str(folder / "s3.json"), f"bench:{BUCKET}/ready"]):
            deadline = time.monotonic() + 120
            while subprocess.run(
                [SERVERS / "rclone", "--retries", "1", "--low-level-retries", "1", *command], env=environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ).returncode:  # fmt: skip
                if time.monotonic() > deadline or process.poll() is not None:
                    raise measure.Failed("SeaweedFS did not start")
                time.sleep(0.3)
        yield ports[3]
    finally:
        process.terminate()
        process.wait()


def _rclone(port: int) -> dict:
    return {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "RCLONE_CONFIG": "/dev/null", "RCLONE_CONFIG_BENCH_TYPE": "s3",
        "RCLONE_CONFIG_BENCH_PROVIDER": "SeaweedFS", "RCLONE_CONFIG_BENCH_ENDPOINT": f"http://127.0.0.1:{port}",
        "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": ACCESS, "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": SECRET,
    }  # fmt: skip


class _Contender:
    """A program, with a prefix of the bucket and a folder of its own."""

    def __init__(self, name: str, program: str, place: Path, port: int, prefix: str):
        self.name, self.program, self.place = name, program, place
        place.mkdir(parents=True)
        (place / "password").write_text("a password for benchmarks\n")
        where = f"s3:http://127.0.0.1:{port}/{BUCKET}/{prefix}"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(place), "LANG": "C.UTF-8"}
        self.environment |= {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
        if name == "repo":
            self.environment |= {"REPO_URL": where, "REPO_PASSWORD_FILE": str(place / "password"), "REPO_CONFIG": os.devnull}
            self.environment["REPO_CACHE_DIR"] = str(place / "cache")
            self.run("init")
            self.run("key", "add", "--out", place / "key")
            del self.environment["REPO_PASSWORD_FILE"]
            self.environment["REPO_KEY_FILE"] = str(place / "key")
        elif name == "restic":
            self.environment |= {"RESTIC_REPOSITORY": where, "RESTIC_PASSWORD_FILE": str(place / "password")}
            self.environment["RESTIC_CACHE_DIR"] = str(place / "cache")
            self.run("init", "--repository-version", "2")
        else:
            self.environment |= _rclone(port)
            self.remote = f"bench:{BUCKET}/{prefix}"

    def run(self, *arguments) -> measure.Run:
        return measure.run([self.program, *arguments], environment=self.environment)

    def snapshot(self, source: Path) -> measure.Run:
        if self.name == "repo":
            return self.run("snapshot", "files", source, "--name", "files", "--quiet")
        return self.run("backup", "--quiet", source) if self.name == "restic" else self.run("copy", source, self.remote)

    def restore(self, target: Path) -> measure.Run:
        return self.run("copy", self.remote, target) if self.name == "rclone" else self.run("restore", "latest", "--target", target)


def _same(source: Path, restored: Path) -> bool:
    return subprocess.run(["diff", "-rq", source, restored], stdout=subprocess.DEVNULL).returncode == 0


def s3(bench: Bench):
    """Each contender in turn through the counting proxy, without and with the delay; then ratios between the two."""
    place = bench.scratch / "s3"
    source = place / "source"
    bench.say("s3: making data")
    _make_data(source)
    bench.notes.append(f"s3: {BYTES / 1e6:.0f} MB in files of 5 MB on SeaweedFS; '50 ms' is a proxy of our own that holds each request back so long")
    programs = {name: bench.programs[name] for name in ("repo", "restic") if name in bench.programs} | {"rclone": str(SERVERS / "rclone")}
    try:
        for delay, label in ((0, "s3"), (DELAY, "s3 50 ms")):
            for number in range(1, bench.rounds + 1):
                for name, program in programs.items():
                    bench.say(f"{label}: round {number} of {bench.rounds}, {name}")
                    with _server(place / "server") as port, DelayProxy(port, delay) as proxy:
                        _round(bench, label, source, place, name, program, proxy, checks=number == 1)
                    shutil.rmtree(place / "server")
    except (measure.Failed, OSError, subprocess.CalledProcessError) as failure:
        bench.problems.append(f"s3: {failure}")
        bench.say(f"  {failure}")
    _ratios(bench)


def _round(bench: Bench, label: str, source: Path, place: Path, name: str, program: str, proxy: DelayProxy, checks: bool):
    contender = _Contender(name, program, place / name, proxy.port, "data")
    try:
        def measured(what: str, work) -> None:
            proxy.reset()
            run = work()
            bench.samples.append(Sample(f"{label} {what}", name, run, None))
            few = FEW_REQUESTS if (name, what) == ("repo", "unchanged") else None
            bench.figures.append(Figure(f"{label} {what}", name, "requests", proxy.count, few))
            bench.say(f"  {what}: {run.wall_seconds:.2f} s, {proxy.count} requests, {run.peak_bytes / 2**20:.0f} MiB")

        measured("first", lambda: contender.snapshot(source))
        measured("unchanged", lambda: contender.snapshot(source))
        target = place / "restored"
        measured("restored", lambda: contender.restore(target))
        inner = target if name == "rclone" else Path(f"{target}{source}")
        if checks and not _same(source, inner):
            bench.problems.append(f"{label}, {name}: what was restored differs from what was stored")
        shutil.rmtree(target)
    finally:
        shutil.rmtree(place / name)


def _ratios(bench: Bench):
    """How much of the time is the distance's: the larger of 1.3 times the near one and what the delay alone bounds is the aim."""
    def median(row: str) -> float | None:
        found = sorted(sample.run.wall_seconds for sample in bench.samples if (sample.row, sample.contender) == (row, "repo"))
        return found[len(found) // 2] if found else None

    for what in ("first", "restored"):
        near, far = median(f"s3 {what}"), median(f"s3 50 ms {what}")
        if near and far:
            bench.figures.append(Figure(f"s3 {what}", "repo", "times as long at 50 ms", far / near, 1.3))
