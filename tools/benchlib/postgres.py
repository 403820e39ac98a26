"""PostgreSQL: base backups, the log, restores, beside pgBackRest and pg_basebackup, of one running cluster."""

import os
import re
import shutil
import time
from functools import partial
from pathlib import Path

from . import clusterbackup, measure, schema, targets
from .cluster import Cluster
from .clusterbackup import archive_with, wait_archived
from .work import Bench, Figure, Sample


class Size:
    """How much data there is. A trial at a small scale tells whether everything runs, and nothing about speed."""

    def __init__(self, scale: float):
        self.rows = int(6_000_000 * scale)
        self.backlog = max(8, int(64 * scale))  # Segments of 16 MiB that wait for the archiver.
        self.days = max(3, int(30 * min(1, scale * 10)))
        self.daily_rows = int(900_000 * scale)


size = Size(1)
SINGLE_PUSHES = 10
STATUS_SEGMENTS = 200_000
FIRST_SEGMENT = "000000010000040000000001"  # Leaves 262,143 names below it for synthetic objects.

SETTINGS = {"archive_mode": "on", "archive_command": "''", "wal_keep_size": "8GB", "max_wal_size": "8GB"}


def _orders(rows: int) -> str:
    return schema.SEED + schema.ORDERS_TABLE + schema.orders(rows) + schema.index("orders") + "CHECKPOINT;\n"


def _update(rows_between: int, which: int) -> str:
    """Every n-th row, scattered evenly."""
    return (
        "UPDATE orders SET status = 'returned', updated_at = updated_at + interval '17 hours'"
        f" WHERE id % {rows_between} = {which};\nCHECKPOINT;\n"
    )


def _contenders(bench: Bench, cluster: Cluster, names) -> list:
    programs = clusterbackup.PROGRAMS | {"repo": str(cluster.home / "program" / "repo")}
    made = []
    for name in names:
        place = cluster.home / name
        if place.exists():
            shutil.rmtree(place)
        made.append(clusterbackup.ALL[name](programs[name], place, cluster))
    return made


def _sample(bench: Bench, row: str, contender, operation, counted: bool = False) -> measure.Run:
    before = contender.stored_bytes() if counted else 0
    run = operation()
    added = contender.stored_bytes() - before if counted else None
    bench.samples.append(Sample(row, contender.name, run, added))
    size = f", {added / 1e6:.2f} MB added" if counted else ""
    bench.say(f"  {row}, {contender.name}: {run.wall_seconds:.3f} s{size}")
    return run


def _started(bench: Bench, first_segment: str | None = None) -> Cluster:
    bench.scratch.chmod(0o755)  # The server's account has to get through.
    return Cluster(bench.scratch, SETTINGS, first_segment)


def _install(bench: Bench, cluster: Cluster):
    (cluster.home / "program").mkdir(mode=0o755)
    shutil.copy(bench.programs["repo"], cluster.home / "program" / "repo")
    (cluster.home / "program" / "repo").chmod(0o755)


def _backups(bench: Bench, cluster: Cluster, round_number: int):
    contenders = _contenders(bench, cluster, clusterbackup.ALL)
    # Another one begins each round: who writes a gigabyte first pays for memory that a virtual machine has to ask for.
    turn = (round_number - 1) % len(contenders)
    contenders = contenders[turn:] + contenders[:turn]
    for contender in contenders:
        archive_with(cluster, contender.archive_command)
        _sample(bench, "cluster first", contender, lambda: contender.backup(True), counted=True)
    cluster.sql(_update(200, round_number))
    for contender in contenders:
        archive_with(cluster, contender.archive_command)
        if contender.name != "pg_basebackup":  # It knows full backups only.
            _sample(bench, "cluster changed", contender, lambda: contender.backup(False), counted=True)
    archive_with(cluster, "")
    for contender in contenders:
        target = cluster.home / "restored"
        try:
            _sample(bench, "cluster restored", contender, lambda: contender.restore(target))
            back = measure.stored_bytes(target / "base")
            if back < 0.9 * measure.stored_bytes(cluster.data / "base"):
                bench.problems.append(f"cluster restored, {contender.name}: only {back} bytes came back")
        finally:
            shutil.rmtree(target, ignore_errors=True)


def _make_backlog(cluster: Cluster) -> list[str]:
    """Whole segments of ordinary work that wait for the archiver, in order."""
    status = cluster.data / "pg_wal" / "archive_status"
    archive_with(cluster, "")
    for part in range(1000):
        if len(list(status.glob("*.ready"))) >= size.backlog + SINGLE_PUSHES:
            break
        cluster.sql(
            f"UPDATE orders SET status = 'seen', updated_at = updated_at + interval '{part} minutes'"
            f" WHERE id % 40 = {part % 40};\nCHECKPOINT;\n"
        )
    names = sorted(path.stem for path in status.glob("*.ready") if re.fullmatch("[0-9A-F]{24}", path.stem))
    return names[: size.backlog + SINGLE_PUSHES]


def _sustained(bench: Bench, cluster: Cluster, contender, segments: list[str]):
    """The server's own archiver works off a backlog. Processor time of processes in the background is not known."""
    status = cluster.data / "pg_wal" / "archive_status"
    for path in status.iterdir():
        if path.stem in segments and path.suffix == ".done":
            path.rename(path.with_suffix(".ready"))
        elif path.suffix == ".ready" and path.stem not in segments:
            path.rename(path.with_suffix(".done"))
    os.sync()
    started = time.monotonic()
    archive_with(cluster, contender.archive_command)
    wait_archived(cluster, segments[-1])
    seconds = time.monotonic() - started
    archive_with(cluster, "")
    bench.samples.append(Sample("log sustained", contender.name, measure.Run(seconds, None, 0, ""), None))
    rate = len(segments) / seconds
    wanted = targets.SEGMENTS_A_SECOND if contender.name == "repo" else None
    bench.figures.append(Figure("log sustained", contender.name, "segments a second", rate, wanted, False))
    bench.say(f"  log sustained, {contender.name}: {rate:.1f} segments a second")


def _wait_for(folder: Path, name: str, seconds: float = 30) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if next(folder.rglob(name), None):
            return True
        time.sleep(0.01)
    return False


def _synthetic(repo, count: int):
    """Names of older segments beside the real ones, each a link to one real object, so that they cannot be opened."""
    (timeline,) = next((repo.repository / "repo" / "wal").iterdir()).glob("0000????")
    log = timeline / FIRST_SEGMENT[8:16]
    model = next(path for path in log.iterdir() if "-" not in path.name)
    links = 0
    made = 0
    for number in range(count):
        position = int(FIRST_SEGMENT[8:16], 16) * 256 - count + number
        folder = timeline / f"{position // 256:08X}"
        if not folder.exists():
            folder.mkdir()
            repo.cluster.give(folder)
        path = folder / f"{FIRST_SEGMENT[:8]}{position // 256:08X}{position % 256:08X}"
        if path.exists():
            continue
        if links % 60_000 == 0:  # ext4 allows 65,000 links to one file.
            copy = repo.place / f"synthetic-{count}-{number}"
            shutil.copy(model, copy)
            repo.cluster.give(copy)
            model = copy
        os.link(model, path)
        links += 1
        made += 1
    return made


def _gets(bench: Bench, repo, segments: list[str], label: str):
    """One segment is asked for, and when those behind it have been fetched, they are."""
    name = "pg_wal/RECOVERYXLOG"  # As the server asks for it, from its data directory.
    target = repo.cluster.data / name
    shutil.rmtree(repo.place / "cache" / "wal-spool", ignore_errors=True)
    _sample(bench, f"log get, {label}, first", repo, lambda: repo.get(segments[0], name))
    for segment in segments[1:]:
        target.unlink()
        if not _wait_for(repo.place / "cache", segment):
            raise measure.Failed(f"{segment} was not fetched ahead")
        _sample(bench, f"log get, {label}, prefetched", repo, lambda: repo.get(segment, name))
    target.unlink()


def _median(bench: Bench, row: str, name: str) -> float:
    values = sorted(sample.run.wall_seconds for sample in bench.samples if (sample.row, sample.contender) == (row, name))
    return values[len(values) // 2]


def _log(bench: Bench, cluster: Cluster):
    contenders = _contenders(bench, cluster, ["repo", "pgbackrest"])
    names = _make_backlog(cluster)
    bench.notes.append(f"log: {len(names)} segments of 16 MiB, written by scattered updates with full page images")
    single, backlog = names[:SINGLE_PUSHES], names[SINGLE_PUSHES:]
    repo = contenders[0]
    for contender in contenders:
        for segment in single:
            _sample(bench, "log push", contender, lambda: contender.push(segment))
    seconds = _median(bench, "log push", "repo")
    bench.figures.append(Figure("log push", "repo", "ms for one segment, median", seconds * 1e3, targets.PUSH_SECONDS * 1e3))
    for contender in contenders:
        _sustained(bench, cluster, contender, backlog)

    # A base backup gives `wal status` something to tell; then names are added as they would be after years.
    archive_with(cluster, repo.archive_command)
    repo.backup(True)
    archive_with(cluster, "")
    have = 0
    for wanted in (10, 10_000):
        have += _synthetic(repo, wanted)
        label = f"{wanted} more in the archive (synthetic)"
        _gets(bench, repo, backlog[:8], label)
        row = f"log get, {label}, prefetched"
        figure = _median(bench, row, "repo") * 1e3
        bench.figures.append(Figure(row, "repo", "ms, median", figure, targets.PREFETCHED_GET_SECONDS * 1e3))
    have += _synthetic(repo, STATUS_SEGMENTS)
    row = f"log status, {have:,} segments (synthetic)"
    for turn in ("cold", "again"):
        run = _sample(bench, row, repo, repo.status)
        bench.figures.append(
            Figure(row, "repo", f"seconds, {turn}", run.wall_seconds, targets.STATUS_SECONDS if turn == "again" else None)
        )


def _days(bench: Bench):
    """Base backups of thirty days at 1 % churn; then the first and the last are restored."""
    with _started(bench) as cluster:
        _install(bench, cluster)
        cluster.sql(_orders(size.daily_rows))
        (repo,) = _contenders(bench, cluster, ["repo"])
        archive_with(cluster, repo.archive_command)
        ids = []
        for day in range(size.days):
            if day:
                cluster.sql(_update(100, day))
            run = _sample(bench, "cluster day 1" if day == 0 else "cluster later days", repo, lambda: repo.backup(day == 0), counted=True)
            ids.append(run.output.split()[-1])
        bench.notes.append(
            f"days: {measure.stored_bytes(cluster.data / 'base') / 1e6:.0f} MB of tables on the last of {size.days} days, 1 % of the rows updated each"
        )
        target = cluster.home / "restored"
        for _ in range(max(3, bench.rounds)):
            for row, snapshot in (("cluster day 1 restored", ids[0]), (f"cluster day {size.days} restored", ids[-1])):
                _sample(bench, row, repo, lambda: repo.restore(target, snapshot))
                shutil.rmtree(target)
        first, last = (_median(bench, f"cluster day {day} restored", "repo") for day in (1, size.days))
        bench.figures.append(
            Figure("cluster days", "repo", f"times as long to restore day {size.days} as day 1", last / first, targets.CLUSTER_DAYS_RESTORE)
        )


def postgres(bench: Bench):
    """One cluster of 1.2 GB: backups, log and restores of all programs in turn."""
    if "repo" not in bench.programs:
        return
    with _started(bench, FIRST_SEGMENT) as cluster:
        _install(bench, cluster)
        bench.say("postgres: making the cluster")
        cluster.sql(_orders(size.rows))
        stored = measure.stored_bytes(cluster.data / "base")
        bench.notes.append(f"postgres: {stored / 1e6:.0f} MB of tables and indexes, {size.rows} rows; bytes added are without the log")
        for part, work in (
            *(
                (f"backups, round {number} of {bench.rounds}", partial(_backups, bench, cluster, number))
                for number in range(1, bench.rounds + 1)
            ),
            ("log", lambda: _log(bench, cluster)),
        ):
            bench.say(f"postgres: {part}")
            try:
                work()
            except (measure.Failed, OSError) as failure:
                bench.problems.append(f"postgres, {part}: {failure}")
                bench.say(f"  {failure}")
    bench.say("postgres: daily base backups")
    try:
        _days(bench)
    except (measure.Failed, OSError) as failure:
        bench.problems.append(f"postgres, days: {failure}")
        bench.say(f"  {failure}")
