"""What is measured: each function does one group of rows with every contender in turn."""

import hashlib
import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from . import contenders, limits, measure, workloads

TREE_FILES = 100_000


class Sample(NamedTuple):
    """One measured command."""

    row: str
    contender: str
    run: measure.Run
    bytes_added: int | None


class Figure(NamedTuple):
    """A number that no single command's seconds tell, and the bound it has to keep where there is one."""

    row: str
    contender: str
    what: str
    value: float
    target: float | None = None
    at_most: bool = True


class Bench:
    """The contenders, the data, and the samples so far."""

    def __init__(self, data: Path, scratch: Path, programs: dict, rounds: int):
        self.data = data
        self.scratch = scratch
        self.programs = programs
        self.rounds = rounds
        self.samples: list[Sample] = []
        self.figures: list[Figure] = []
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.deltas: dict[str, dict] = {}

    def say(self, line: str):
        print(line, file=sys.stderr, flush=True)

    def contender(self, name: str) -> contenders.Contender:
        return contenders.ALL[name](self.programs[name], self.scratch / name)

    def in_turn(self, group: str, rounds: int, work):
        """Calls `work` with a fresh repository of each contender, round after round."""
        for number in range(1, rounds + 1):
            for name in self.programs:
                self.say(f"{group}: round {number} of {rounds}, {name}")
                try:
                    contender = self.contender(name)
                    work(contender, number)
                except measure.Failed as failure:
                    self.problems.append(f"{group}, {name}: {failure}")
                    self.say(f"  {failure}")
                finally:
                    shutil.rmtree(self.scratch / name, ignore_errors=True)

    def sample(self, row: str, contender: contenders.Contender, operation):
        """Measures `operation`, which returns a run or a run with a snapshot's id; returns that id."""
        before = measure.stored_bytes(contender.repository)
        result = operation()
        run, snapshot = (
            result if isinstance(result, tuple) and not isinstance(result, measure.Run) else (result, None)
        )
        added = measure.stored_bytes(contender.repository) - before if snapshot else None
        self.samples.append(Sample(row, contender.name, run, added))
        size = f", {added / 1e6:.2f} MB added" if added is not None else ""
        self.say(f"  {row}: {run.wall_seconds:.2f} s{size}")
        return snapshot


def _warm(*paths: Path):
    """Reads everything below the paths, so that each contender finds it in the page cache."""
    for path in paths:
        folders = os.walk(path) if path.is_dir() else [(path.parent, [], [path.name])]
        for folder, _, names in folders:
            for name in names:
                file = Path(folder, name)
                if file.is_symlink() or not file.is_file():
                    continue
                with open(file, "rb", buffering=0) as content:
                    while content.read(1 << 20):
                        pass


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def dump(bench: Bench):
    """Two dumps of workload A on standard input, the second once more, then check and output."""
    first, second = (bench.data / "A" / f"dump-{state}.sql" for state in "12")
    bench.notes.append(f"dump: {first.stat().st_size / 1e6:.0f} MB on standard input")

    def work(contender, number):
        _warm(first, second)
        bench.sample("dump first", contender, lambda: contender.snapshot_stream(first))
        latest = bench.sample("dump changed", contender, lambda: contender.snapshot_stream(second))
        again = bench.sample("dump unchanged", contender, lambda: contender.snapshot_stream(second))
        bench.sample("dump check", contender, contender.check)
        bench.sample("dump to output", contender, lambda: contender.cat(again, Path(os.devnull)))
        if number == 1:  # Once, unmeasured: speed counts for nothing if the bytes are wrong.
            restored = bench.scratch / "restored.sql"
            contender.cat(latest, restored)
            if _digest(restored) != _digest(second):
                bench.problems.append(
                    f"dump, {contender.name}: the restored dump differs from what was stored"
                )
            restored.unlink()

    bench.in_turn("dump", bench.rounds, work)


def _staged(bench: Bench, workload: str):
    """Copies of both base backups; `show(n)` puts one of them at the path that all backups read."""
    copies = bench.scratch / "copies"
    copies.mkdir()
    for state in "12":
        shutil.copytree(bench.data / workload / f"base-{state}", copies / state, symlinks=True)
    live = bench.scratch / "pgdata"
    shown = None

    def show(state: str | None):
        nonlocal shown
        if shown:
            live.rename(copies / shown)
        if state:
            (copies / state).rename(live)
        shown = state
        return live

    return copies, show


def base(bench: Bench):
    """Two base backups of workload A as folders, at the same path, the second after scattered updates."""
    copies, show = _staged(bench, "A")
    bench.notes.append(f"base: {measure.stored_bytes(copies / '1') / 1e6:.0f} MB, as pg_basebackup wrote it")

    def work(contender, number):
        # Otherwise whoever comes first reads from the disk what the others then find in memory.
        for state, row in (("1", "base first"), ("2", "base changed")):
            live = show(state)
            _warm(live)
            bench.sample(row, contender, lambda live=live: contender.snapshot_files([live]))

    bench.in_turn("base", bench.rounds, work)
    show(None)
    shutil.rmtree(copies)


def _count(paths: list[Path]) -> tuple[int, int]:
    """The number of entries other than folders, and their bytes."""
    files = total = 0
    pending = [str(path) for path in paths]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    files += 1
                    total += entry.stat(follow_symlinks=False).st_size
    return files, total


def tree_paths() -> list[Path]:
    """The folder that the Swift toolchain was unpacked into, and as many of /usr as make a large tree."""
    swift = Path(shutil.which("swift")).resolve().parents[2]  # SWIFT/usr/bin/swift
    paths = [] if swift == Path("/") else [swift]
    for folder in map(Path, ("/usr/lib", "/usr/share", "/usr/include", "/usr/bin")):
        if _count(paths)[0] >= TREE_FILES:
            break
        paths.append(folder)
    return paths


def tree(bench: Bench):
    """A large tree: first, unchanged, restored, checked."""
    paths = tree_paths()
    files, total = _count(paths)
    bench.notes.append(f"tree: {files} files, {total / 1e9:.1f} GB in {', '.join(map(str, paths))}")

    def work(contender, number):
        target = bench.scratch / "restored"
        _warm(*paths)
        bench.sample("tree first", contender, lambda: contender.snapshot_files(paths))
        latest = bench.sample("tree unchanged", contender, lambda: contender.snapshot_files(paths))
        target.mkdir()
        try:
            bench.sample("tree restored", contender, lambda: contender.restore(latest, target))
            restored = _count([target])
            if restored != (files, total):
                wanted = (files, total)
                bench.problems.append(f"tree, {contender.name}: restored {restored}, expected {wanted}")
        finally:
            shutil.rmtree(target)
        bench.sample("tree check", contender, contender.check)

    bench.in_turn("tree", bench.rounds, work)


def _delta(bench: Bench, label: str, old: Path, new: Path):
    """Bytes added by `new` after `old`, both dumps or both base backups."""
    copies, show = _staged(bench, new.parent.name) if new.is_dir() else (None, None)

    def snapshot(contender, path: Path):
        return contender.snapshot_files([show(path.name[-1])]) if show else contender.snapshot_stream(path)

    def work(contender, number):
        bench.sample(f"delta {label} first", contender, lambda: snapshot(contender, old))
        bench.sample(f"delta {label} changed", contender, lambda: snapshot(contender, new))

    bench.in_turn(f"delta {label}", 1, work)
    if show:
        show(None)
        shutil.rmtree(copies)


def deltas(bench: Bench):
    """Bytes added by the second state of every workload. They hardly vary, so one round is enough."""
    for name, pair in workloads.PAIRS.items():
        for kind, suffix in (("dump", ".sql"), ("base", "")) if pair.base else (("dump", ".sql"),):
            old, new = (bench.data / name / f"{kind}-{state}{suffix}" for state in "12")
            label = f"{name} {kind}" if pair.base else name
            _delta(bench, label, old, new)
            bench.deltas[label] = {"about": pair.about, "limit_bytes": limits.patch_bytes(old, new)}


def daily(bench: Bench):
    """Thirty daily dumps of a changing table in one repository; then the first and the last are read back."""
    days = sorted((bench.data / "daily").glob("dump-*.sql"))

    def store(contender, day: Path) -> str:
        return bench.sample(f"daily {day.stem[-2:]}", contender, lambda: contender.snapshot_stream(day))

    def read(contender, row: str, snapshot: str):
        bench.sample(row, contender, lambda: contender.cat(snapshot, Path(os.devnull)))

    def work(contender, number):
        snapshots = [store(contender, day) for day in days]
        for _ in range(bench.rounds):
            read(contender, "daily first read", snapshots[0])
            read(contender, "daily last read", snapshots[-1])

    bench.in_turn("daily", 1, work)
    total = sum(limits.patch_bytes(old, new) for old, new in itertools.pairwise(days))
    bench.deltas["29 days"] = {"about": "a slowly changing dump, the sum of 29 days", "limit_bytes": total}


def start(bench: Bench):
    """How long the program takes when there is next to nothing to do."""
    if "repo" not in bench.programs:
        return

    def work(contender, number):
        small = bench.scratch / "small"
        small.write_text("a few bytes\n")
        snapshot = contender.snapshot_stream(small)[1]
        key = bench.scratch / "machine.key"
        contender.run("key", "add", "--out", key)
        contender.environment.pop("REPO_PASSWORD_FILE")
        contender.environment["REPO_KEY_FILE"] = str(key)
        try:
            for _ in range(20):
                bench.samples.append(
                    Sample(
                        "start version",
                        "repo",
                        measure.run([contender.program, "--version"], environment=contender.environment),
                        None,
                    )
                )
                bench.sample("start small cat", contender, lambda: contender.cat(snapshot, Path(os.devnull)))
        finally:
            key.unlink()
            small.unlink()

    everyone, bench.programs = bench.programs, {"repo": bench.programs["repo"]}
    bench.in_turn("start", 1, work)
    bench.programs = everyone


GROUPS = {"dump": dump, "base": base, "tree": tree, "deltas": deltas, "daily": daily, "start": start}
DATA = {
    "dump": ["A"],
    "base": ["A"],
    "tree": [],
    "deltas": list(workloads.PAIRS),
    "daily": ["daily"],
    "start": [],
}
