"""Receiving PostgreSQL's log beside pg_receivewal: how fast it streams, and what a synchronous commit pays for it."""

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager

from . import measure
from .cluster import BINARIES, Cluster
from .work import Bench, Figure, Sample


class Size:
    """How long and how much: a trial at a small scale tells whether everything runs, and nothing about speed."""

    def __init__(self, scale: float):
        self.seconds = max(3, int(10 * scale))
        self.pgbench_scale = max(2, int(50 * scale))


size = Size(1)
CLIENTS = 4

# Commits are durable here: their latency is what is measured.
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_keep_size": "8GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}


class _Receivers:
    """The commands that receive, each into a folder of its own."""

    def __init__(self, bench: Bench, cluster: Cluster):
        self.cluster = cluster
        self.home = bench.scratch / "receive"
        self.program = bench.programs["repo"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "REPO_CONFIG": "/dev/null",
            "REPO_URL": str(self.home / "repository"),
            "REPO_CACHE_DIR": str(self.home / "cache"),
            "REPO_PASSWORD": "secret",
        }
        self.home.mkdir()
        for arguments in (["init"], ["key", "add", "--out", str(self.home / "key")]):
            subprocess.run([self.program, *arguments], check=True, env=self.environment, stdout=subprocess.DEVNULL)
        del self.environment["REPO_PASSWORD"]
        self.environment["REPO_KEY_FILE"] = str(self.home / "key")
        (self.home / "pg_receivewal").mkdir()

    def command(self, name: str, until: str | None = None) -> list:
        if name == "repo":
            end = ["--stop-at", until] if until else []
            dsn = f"host={self.cluster.socket} user=postgres"
            return [self.program, "wal", "receive", "--dsn", dsn, "--slot", name, "--spool", str(self.home / "spool"), "--quiet", *end]
        end = ["--endpos", until] if until else []
        return [
            BINARIES / "pg_receivewal", "--dbname", f"host={self.cluster.socket} user=postgres application_name=pg_receivewal",
            "--slot", name, "--synchronous", "--no-loop", "--directory", self.home / name, *end,
        ]

    @contextmanager
    def running(self, name: str):
        """As the synchronous standby."""
        process = subprocess.Popen(
            [str(part) for part in self.command(name)], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            self.cluster.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'; SELECT pg_reload_conf();")
            deadline = time.monotonic() + 60
            while self.cluster.value("SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication") != "t":
                if time.monotonic() > deadline or process.poll() is not None:
                    raise measure.Failed(f"{name} did not become a synchronous standby")
                time.sleep(0.1)
            yield
        finally:
            self.cluster.sql("ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf();")
            process.send_signal(signal.SIGINT)
            process.wait()


def _latency(cluster: Cluster) -> float:
    """Milliseconds of a transaction, on average."""
    command = [
        str(BINARIES / "pgbench"), "-n", "-h", str(cluster.socket), "-U", "postgres", "-c", str(CLIENTS), "-j", "1", "-T", str(size.seconds),
        "-N", "postgres",
    ]
    output = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return float(re.search(r"latency average = ([0-9.]+) ms", output)[1])


def _stream(bench: Bench, cluster: Cluster, receivers: _Receivers):
    names = ["repo", "pg_receivewal"]
    for name in names:
        cluster.sql(f"SELECT pg_create_physical_replication_slot('{name}', true)")
    # Some of the server's own work is done before: what waits is streamed, not written meanwhile.
    start = cluster.value("SELECT min(restart_lsn) FROM pg_replication_slots")
    subprocess.run(
        [
            str(BINARIES / "pgbench"), "-i", "-q", "-I", "tgp", "-s", str(size.pgbench_scale), "-h", str(cluster.socket), "-U", "postgres", "postgres",
        ],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    end = cluster.value("SELECT pg_current_wal_flush_lsn()")
    waiting = int(cluster.value(f"SELECT ('{end}'::pg_lsn - '{start}'::pg_lsn)::bigint"))
    bench.notes.append(f"receive: {waiting / 1e6:.0f} MB of log that waited in the slots; repo stores it compressed and encrypted as well")
    for name in names:
        run = measure.run(receivers.command(name, end), environment=receivers.environment)
        bench.samples.append(Sample("receive stream", name, run, None))
        rate = waiting / 1e6 / run.wall_seconds
        bench.figures.append(Figure("receive stream", name, "MB/s", rate))
        bench.say(f"  {name}: {rate:.0f} MB/s, {run.cpu_seconds:.2f} s of processor time, {run.peak_bytes / 1e6:.0f} MB of memory")


def receive(bench: Bench):
    """One cluster with durable commits: what waits is streamed; then each receiver in turn is the synchronous standby."""
    if "repo" not in bench.programs:
        return
    bench.scratch.chmod(0o755)
    with Cluster(bench.scratch, SETTINGS) as cluster:
        receivers = _Receivers(bench, cluster)
        bench.say("receive: streaming")
        try:
            _stream(bench, cluster, receivers)
            found = {"none": [], "repo": [], "pg_receivewal": []}
            for number in range(1, bench.rounds + 1):
                bench.say(f"receive: synchronous commits, round {number} of {bench.rounds}")
                for name, values in found.items():
                    if name == "none":
                        values.append(_latency(cluster))
                    else:
                        with receivers.running(name):
                            values.append(_latency(cluster))
                    bench.say(f"  {name}: {values[-1]:.2f} ms")
            for name, values in found.items():
                bench.figures.append(
                    Figure("receive synchronous", name, f"ms a transaction, {CLIENTS} clients, median", sorted(values)[len(values) // 2])
                )
        except (measure.Failed, OSError, subprocess.CalledProcessError) as failure:
            bench.problems.append(f"receive: {failure}")
            bench.say(f"  {failure}")
