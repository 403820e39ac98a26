"""The programs that back up a running cluster, each behind the same few operations."""

import os
import shlex
import shutil
import time
from pathlib import Path

from . import measure
from .cluster import BINARIES, Cluster

WAIT_SECONDS = 600


class ClusterContender:
    """One program with a repository of its own below `place`, run as the account that the server runs as."""

    name: str
    log_folder: str
    """Where in the repository the log is: its bytes are counted apart from those of backups."""
    archive_command: str = ""

    def __init__(self, program: str, place: Path, cluster: Cluster):
        self.program = program
        self.place = place
        self.cluster = cluster
        self.repository = place / "repository"
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(place)}
        for folder in (place, self.repository, place / "log", place / "spool", place / "lock"):
            folder.mkdir()
            cluster.give(folder)
        self.prepare()

    def file(self, name: str, text: str) -> Path:
        path = self.place / name
        path.write_text(text)
        path.chmod(0o600)
        self.cluster.give(path)
        return path

    def run(self, *arguments, **options) -> measure.Run:
        return measure.run(
            [*self.cluster.prefix, self.program, *arguments],
            environment=self.environment,
            folder=self.cluster.data,
            **options,
        )

    def stored_bytes(self) -> int:
        """What backups take, without the log."""
        log = self.repository / self.log_folder
        return measure.stored_bytes(self.repository) - (measure.stored_bytes(log) if log.exists() else 0)

    def prepare(self):
        """Makes the repository."""

    def backup(self, first: bool) -> measure.Run:
        raise NotImplementedError

    def push(self, segment: str) -> measure.Run:
        """Archives one segment of the cluster, as archive_command would."""
        raise NotImplementedError

    def restore(self, target: Path, snapshot: str = "latest") -> measure.Run:
        """Restores the last backup, without starting it."""
        raise NotImplementedError


class Repo(ClusterContender):
    name = "repo"
    log_folder = "wal"

    def prepare(self):
        self.environment |= {
            "REPO_URL": str(self.repository / "repo"),
            "REPO_CONFIG": os.devnull,
            "REPO_CACHE_DIR": str(self.place / "cache"),
        }
        self.log_folder = "repo/wal"
        password = self.file("password", "a password for benchmarks\n")
        key = self.place / "machine.key"
        self.run("--password-file", password, "init")
        self.run("--password-file", password, "key", "add", "--out", key)
        self.environment["REPO_KEY_FILE"] = str(key)
        settings = " ".join(
            f"{name}={shlex.quote(value)}" for name, value in self.environment.items() if name.startswith("REPO_")
        )
        self.archive_command = f"{settings} {shlex.quote(self.program)} wal push %p"

    def backup(self, first):
        return self.run(
            "snapshot", "postgres", "--dsn", f"host={self.cluster.socket} user=postgres", "--name", "main"
        )

    def push(self, segment):
        return self.run("wal", "push", "--single", f"pg_wal/{segment}")

    def get(self, segment: str, target: Path) -> measure.Run:
        return self.run("wal", "get", segment, target)

    def status(self) -> measure.Run:
        return self.run("wal", "status")

    def restore(self, target, snapshot="latest:main"):
        return self.run("restore", snapshot, "--target-immediate", "--target", target)


class PgBackRest(ClusterContender):
    """2 processes, zstd level 3, AES-256; the log in the background, which is its fastest way."""

    name = "pgbackrest"
    log_folder = "archive"

    def prepare(self):
        self.conf = self.file(
            "pgbackrest.conf",
            f"""[bench]
pg1-path={self.cluster.data}
pg1-socket-path={self.cluster.socket}
pg1-user=postgres

[global]
repo1-path={self.repository}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=a password for benchmarks
compress-type=zst
compress-level=3
process-max=2
start-fast=y
spool-path={self.place}/spool
lock-path={self.place}/lock
log-path={self.place}/log
log-level-file=off
log-level-console=warn
""",
        )
        self.run("stanza-create")
        command = shlex.join([self.program, "--config", str(self.conf), "--stanza", "bench", "--archive-async"])
        self.archive_command = f"{command} archive-push %p"

    def run(self, *arguments, **options):
        return super().run("--config", self.conf, "--stanza", "bench", *arguments, **options)

    def backup(self, first):
        return self.run("--type", "full" if first else "incr", "backup")

    def push(self, segment):
        return self.run("archive-push", f"pg_wal/{segment}")

    def restore(self, target, snapshot="latest"):
        target.mkdir(mode=0o700)
        self.cluster.give(target)
        return self.run("--pg1-path", target, "--type", "immediate", "restore")


class PgBaseBackup(ClusterContender):
    """A tar file compressed by the client, zstd level 3, not encrypted."""

    name = "pg_basebackup"
    log_folder = "pg_wal"
    archive_command = "/bin/true"  # It waits for the log to be archived, which is not its own work.

    def backup(self, first):
        target = self.repository / "backup"
        shutil.rmtree(target, ignore_errors=True)
        return self.run(
            *("--host", self.cluster.socket, "--username", "postgres", "--checkpoint", "fast"),
            *("--format", "tar", "--compress", "client-zstd:3", "--wal-method", "none", "--pgdata", target),
        )

    def restore(self, target, snapshot="latest"):
        target.mkdir(mode=0o700)
        self.cluster.give(target)
        archive = self.repository / "backup" / "base.tar.zst"
        return measure.run(
            [*self.cluster.prefix, "tar", "--extract", "--zstd", "--file", archive, "--directory", target],
            environment=self.environment,
        )


ALL = {"repo": Repo, "pgbackrest": PgBackRest, "pg_basebackup": PgBaseBackup}
PROGRAMS = {"pgbackrest": "/usr/bin/pgbackrest", "pg_basebackup": str(BINARIES / "pg_basebackup")}


def archive_with(cluster: Cluster, command: str):
    """Sets archive_command; with the empty one the server keeps what it has."""
    quoted = command.replace("'", "''")
    cluster.sql(f"ALTER SYSTEM SET archive_command = '{quoted}';\nSELECT pg_reload_conf();\n")


def wait_archived(cluster: Cluster, segment: str):
    """Waits until the server holds `segment` for archived."""
    done = cluster.data / "pg_wal" / "archive_status" / f"{segment}.done"
    ends = time.monotonic() + WAIT_SECONDS
    while not done.exists():
        if time.monotonic() > ends:
            log = (cluster.home / "log").read_text(errors="replace").splitlines()
            raise measure.Failed(f"{segment} was not archived in {WAIT_SECONDS} s: {' / '.join(log[-3:])}")
        time.sleep(0.01)
