"""Runs one command and says what it took."""

import os
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Failed(Exception):
    """A measured command ended with a code that does not count as success."""


class Run(NamedTuple):
    """What a command took: seconds, bytes, and what it wrote to standard output where that was kept."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def run(
    command: list,
    *,
    stdin: Path | None = None,
    stdout: Path | None = None,
    environment: dict,
    folder: Path | None = None,
    accepted: tuple = (0,),
) -> Run:
    """Runs `command` to its end. `stdout` names a file for the output; without it the output is kept.

    CPU time and peak memory come from `wait4`, so they include child processes that were waited for; the peak
    is that of the largest single process.
    """
    os.sync()  # The writes of the command before are not to be paid for by this one.
    with (
        open(stdin or os.devnull, "rb") as source,
        tempfile.TemporaryFile() as errors,
        open(stdout, "wb") if stdout else tempfile.TemporaryFile() as output,
    ):
        started = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=source,
            stdout=output,
            stderr=errors,
            env=environment,
            cwd=folder,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in accepted:
            errors.seek(0)
            tail = errors.read().decode(errors="replace").strip()[-600:]
            raise Failed(f"{' '.join(map(str, command))}: exit {process.returncode}: {tail}")
        text = ""
        if not stdout:
            output.seek(0)
            text = output.read().decode(errors="replace")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, text)


def stored_bytes(folder: Path) -> int:
    """The sizes of all files below `folder`, added up: what a bill for storage would count."""
    total = 0
    for entry in folder.rglob("*"):
        try:
            status = entry.lstat()
        except FileNotFoundError:  # A server that archives beside this has renamed it.
            continue
        if not stat.S_ISDIR(status.st_mode):
            total += status.st_size
    return total
