"""The backup programs, each behind the same few operations."""

import os
import re
import subprocess
from pathlib import Path

from . import measure

STREAM = "dump.sql"


class Contender:
    """One program with a repository, a cache and a home of its own, all below `place`."""

    name: str
    version_command: list
    snapshot_id: str
    """The pattern that finds a new snapshot's id in the output."""

    def __init__(self, program: str, place: Path):
        self.program = program
        self.place = place
        self.repository = place / "repository"
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(place / "home")}
        for folder in ("home", "cache"):
            (place / folder).mkdir(parents=True)
        self.password = place / "password"
        self.password.write_text("a password for benchmarks\n")
        self.password.chmod(0o600)
        self.environment |= self.settings()
        self.run(*self.init_arguments())

    def run(self, *arguments, **options) -> measure.Run:
        return measure.run([self.program, *arguments], environment=self.environment, **options)

    def _identified(self, done: measure.Run) -> tuple[measure.Run, str]:
        found = re.search(self.snapshot_id, done.output)
        if not found:
            raise measure.Failed(f"{self.program} named no snapshot: {done.output.strip()[-300:]!r}")
        return done, found.group(1)

    def settings(self) -> dict:
        raise NotImplementedError

    def init_arguments(self) -> list:
        raise NotImplementedError

    def snapshot_stream(self, source: Path) -> tuple[measure.Run, str]:
        """Backs up `source` through standard input; also returns the snapshot's id."""
        raise NotImplementedError

    def snapshot_files(self, paths: list[Path]) -> tuple[measure.Run, str]:
        raise NotImplementedError

    def check(self) -> measure.Run:
        """Verifies all data that is stored."""
        raise NotImplementedError

    def cat(self, snapshot: str, target: Path) -> measure.Run:
        """Writes the stream of `snapshot` to standard output, which is `target`."""
        raise NotImplementedError

    def restore(self, snapshot: str, target: Path) -> measure.Run:
        raise NotImplementedError

    @classmethod
    def version(cls, program: str) -> str:
        return (
            subprocess.run([program, *cls.version_command], stdout=subprocess.PIPE, text=True, check=True)
            .stdout.strip()
            .splitlines()[0]
        )


class Repo(Contender):
    name = "repo"
    version_command = ["--version"]
    snapshot_id = r"([0-9a-f]+)\s*\Z"

    def settings(self):
        return {
            "REPO_URL": str(self.repository),
            "REPO_PASSWORD_FILE": str(self.password),
            "REPO_CONFIG": os.devnull,
        }

    def run(self, *arguments, **options):
        return super().run(*arguments, "--cache-dir", self.place / "cache", **options)

    def init_arguments(self):
        return ["init"]

    def snapshot_stream(self, source):
        return self._identified(self.run("snapshot", "stdin", "--name", STREAM, stdin=source))

    def snapshot_files(self, paths):
        return self._identified(self.run("snapshot", "files", *paths, "--name", "files", accepted=(0, 3)))

    def check(self):
        return self.run("check", "--read-data")

    def cat(self, snapshot, target):
        return self.run("cat", snapshot, STREAM, stdout=target)

    def restore(self, snapshot, target):
        return self.run("restore", snapshot, "--target", target)


class Restic(Contender):
    name = "restic"
    version_command = ["version"]
    snapshot_id = r"(?m)^snapshot ([0-9a-f]+) saved$"

    def settings(self):
        return {
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD_FILE": str(self.password),
            "RESTIC_CACHE_DIR": str(self.place / "cache"),
        }

    def init_arguments(self):
        return ["init", "--repository-version", "2"]

    def snapshot_stream(self, source):
        return self._identified(self.run("backup", "--stdin", "--stdin-filename", STREAM, stdin=source))

    def snapshot_files(self, paths):
        return self._identified(self.run("backup", *paths, accepted=(0, 3)))

    def check(self):
        return self.run("check", "--read-data")

    def cat(self, snapshot, target):
        return self.run("dump", snapshot, STREAM, stdout=target)

    def restore(self, snapshot, target):
        return self.run("restore", snapshot, "--target", target)


class Borg(Contender):
    name = "borg"
    version_command = ["--version"]
    archives = 0

    def settings(self):
        return {
            "BORG_REPO": str(self.repository),
            "BORG_PASSCOMMAND": f"cat {self.password}",
            "BORG_BASE_DIR": str(self.place / "cache"),
        }

    def init_arguments(self):
        return ["init", "--encryption", "repokey-blake2"]

    def _create(self, *arguments, **options) -> tuple[measure.Run, str]:
        self.archives += 1
        archive = f"::{self.archives}"
        options.setdefault(
            "accepted", (0, 1)
        )  # 1: done, with warnings such as a file that could not be read.
        done = self.run(
            "create", "--compression", "zstd,3", *arguments[:-1], archive, *arguments[-1], **options
        )
        return done, archive

    def snapshot_stream(self, source):
        return self._create("--stdin-name", STREAM, ["-"], stdin=source, accepted=(0,))

    def snapshot_files(self, paths):
        return self._create(paths)

    def check(self):
        return self.run("check", "--verify-data")

    def cat(self, snapshot, target):
        return self.run("extract", "--stdout", snapshot, stdout=target)

    def restore(self, snapshot, target):
        return self.run("extract", snapshot, folder=target, accepted=(0, 1))


ALL = {contender.name: contender for contender in (Repo, Restic, Borg)}
