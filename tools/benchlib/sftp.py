"""A repository behind SFTP on this machine, beside restic's: at once, and with 50 ms between question and answer."""

import asyncio
import multiprocessing
import os
import random
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from . import contenders, work
from .work import Bench

SCALE = float(os.environ.get("REPO_BENCH_SCALE", "1"))
DELAY = 0.025
"""Seconds each way."""


class Server:
    """sshd of this user's own, with keys of its own, on a free port."""

    def __init__(self, place: Path):
        place.mkdir()
        self.place = place
        self.port = _free_port()
        for name in ("host", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name], check=True)
        shutil.copy(place / "id.pub", place / "authorized_keys")
        (place / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {place}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"AuthorizedKeysFile {place}/authorized_keys\nPermitRootLogin prohibit-password\nMaxStartups 100\n"
            "Subsystem sftp /usr/lib/openssh/sftp-server\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # Where it separates privileges, which only root's does.
        with open(place / "log", "wb") as log:
            self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", place / "sshd_config"], stderr=log)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError((place / "log").read_text())

    def known(self, port: int) -> Path:
        key = " ".join((self.place / "host.pub").read_text().split()[:2])
        path = self.place / f"known_hosts-{port}"
        path.write_text(f"[127.0.0.1]:{port} {key}\n")
        return path

    def stop(self):
        self.process.terminate()
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _delay(listening: socket.socket, port: int):
    """Passes everything on after `DELAY`, in both directions, with as much under way as comes."""

    async def pump(reader, writer):
        queue = asyncio.Queue(4096)

        async def deliver():
            while (item := await queue.get()) is not None:
                due, data = item
                await asyncio.sleep(due - time.monotonic())
                writer.write(data)
                await writer.drain()
            writer.close()

        task = asyncio.create_task(deliver())
        while data := await reader.read(1 << 18):
            await queue.put((time.monotonic() + DELAY, data))
        await queue.put(None)
        await task

    async def accept(reader, writer):
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)

    async def serve():
        server = await asyncio.start_server(accept, sock=listening)
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def _far(port: int):
    listening = socket.create_server(("127.0.0.1", 0))
    process = multiprocessing.get_context("fork").Process(target=_delay, args=(listening, port), daemon=True)
    process.start()
    try:
        yield listening.getsockname()[1]
    finally:
        process.terminate()
        process.join()
        listening.close()


def _tree(place: Path) -> Path:
    """500 MB: files of 8 MB, and 2,000 small ones, that neither compress nor resemble each other."""
    numbers = random.Random(11)
    for index in range(max(1, int(60 * SCALE))):
        (place / "large").mkdir(parents=True, exist_ok=True)
        (place / "large" / str(index)).write_bytes(numbers.randbytes(8 << 20))
    for index in range(max(1, int(2000 * SCALE))):
        folder = place / "small" / str(index % 40)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(index)).write_bytes(numbers.randbytes(8 << 10))
    return place


def _contender(kind: type, program: str, place: Path, server: Server, port: int) -> contenders.Contender:
    user, known = os.environ.get("USER") or subprocess.check_output(["id", "-un"], text=True).strip(), server.known(port)

    class Remote(kind):
        def settings(self):
            changed = super().settings()
            if kind is contenders.Repo:
                changed["REPO_URL"] = (
                    f"sftp://{user}@127.0.0.1:{port}{self.repository}?identity={server.place}/id&known-hosts={known}&ssh-config=/dev/null"
                )
            else:
                changed["RESTIC_REPOSITORY"] = f"sftp:{user}@127.0.0.1:{self.repository}"
            return changed

        def run(self, *arguments, **options):
            if kind is contenders.Restic:
                command = (
                    f"ssh -F /dev/null -p {port} -i {server.place}/id -o UserKnownHostsFile={known} -o BatchMode=yes {user}@127.0.0.1 -s sftp"
                )
                arguments = ("-o", f"sftp.command={command}", *arguments)
            return super().run(*arguments, **options)

    return Remote(program, place)


def sftp(bench: Bench):
    """Snapshots of 500 MB, one that finds nothing new, and restores; then the same from afar."""
    tree = _tree(bench.scratch / "sftp-tree")
    server = Server(bench.scratch / "sftp-server")
    kinds = {"repo": contenders.Repo, "restic": contenders.Restic}
    bench.notes.append(f"sftp: 2,060 files of {500 * SCALE:.0f} MB that do not compress; far: {2000 * DELAY:.0f} ms to each answer")
    try:
        with _far(server.port) as far:
            for label, port in (("sftp", server.port), ("sftp far", far)):
                for number in range(1, bench.rounds + 1):
                    for name in bench.programs:
                        if name not in kinds:
                            continue
                        bench.say(f"{label}: round {number} of {bench.rounds}, {name}")
                        work._warm(tree)
                        place = bench.scratch / name
                        try:
                            contender = _contender(kinds[name], bench.programs[name], place, server, port)
                            snapshot = bench.sample(f"{label} first", contender, lambda: contender.snapshot_files([tree]))
                            bench.sample(f"{label} unchanged", contender, lambda: contender.snapshot_files([tree]))
                            target = bench.scratch / "restored"
                            bench.sample(f"{label} restored", contender, lambda: contender.restore(snapshot, target))
                            differ = subprocess.run(["diff", "-rq", tree, f"{target}{tree}"], stdout=subprocess.PIPE, text=True)
                            if differ.returncode:
                                bench.problems.append(f"{label}, {name}: restored files differ: {differ.stdout[:200]}")
                        except work.measure.Failed as failure:
                            bench.problems.append(f"{label}, {name}: {failure}")
                        finally:
                            shutil.rmtree(place, ignore_errors=True)
                            shutil.rmtree(bench.scratch / "restored", ignore_errors=True)
    finally:
        server.stop()
        shutil.rmtree(tree, ignore_errors=True)
