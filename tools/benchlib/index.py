"""The program on a repository with an index of ten million blobs, most of which exist in the index alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import contenders, measure
from .work import Bench, Sample

PACKAGE = Path(__file__).resolve().parents[1] / "benchmarks"
blobs = 10_000_000


def _generator() -> Path:
    """Builds `large-index`, which makes such a repository, and returns its path."""
    command = ["swift", "build", "--package-path", PACKAGE, "-c", "release", "--product", "large-index"]
    subprocess.run(command, check=True, stdout=sys.stderr)
    folder = subprocess.run([*command, "--show-bin-path"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    return Path(folder) / "large-index"


def index(bench: Bench):
    """What commands take that look at the whole index. The other programs have no part in this: their indexes cannot be made without the data."""
    if "repo" not in bench.programs:
        return
    generator = _generator()
    dumps = [bench.data / "A" / f"dump-{state}.sql" for state in "12"]

    def work(contender: contenders.Contender, number: int):
        made = measure.run(
            [generator, contender.repository, contender.password, str(blobs)],
            environment=contender.environment | {"TMPDIR": str(contender.place)},
        )
        bench.say(f"  made {blobs:,} blobs in {made.wall_seconds:.0f} s")

        def sample(row: str, operation, counted: bool = False):
            result = operation()
            run = result[0] if counted else result
            bench.samples.append(Sample(f"index {row}", "repo", run, None))
            bench.say(f"  index {row}: {run.wall_seconds:.2f} s, {run.peak_bytes / 1e6:.0f} MB")

        def check():
            return contender.run("check")

        shutil.rmtree(contender.place / "cache")
        sample("check, nothing cached", check)
        sample("check", check)
        sample("snapshot, first", lambda: contender.snapshot_stream(dumps[0]), counted=True)
        sample("snapshot, changed", lambda: contender.snapshot_stream(dumps[1]), counted=True)
        sample("cat", lambda: contender.run("cat", "latest", contenders.STREAM, stdout=Path(os.devnull)))
        sample("prune, one pack of twenty dead", lambda: contender.run("prune"))
        sample("prune, nothing to do", lambda: contender.run("prune"))
        shutil.rmtree(contender.place / "cache")
        sample("prune, nothing cached", lambda: contender.run("prune"))

    everyone, bench.programs = bench.programs, {"repo": bench.programs["repo"]}
    try:
        bench.in_turn("index", 1, work)
    finally:
        bench.programs = everyone
