"""What the numbers were measured on."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

from . import contenders


def describe(programs: dict, scratch: Path, rounds: int) -> dict:
    """The machine and the versions of everything that took part."""
    info = Path("/proc/cpuinfo").read_text()
    fields = dict(
        map(str.strip, line.split(":", 1)) for line in info.split("\n\n")[0].splitlines() if ":" in line
    )
    known = fields.get("flags", fields.get("Features", "")).split()
    wanted = ("aes", "vaes", "avx2", "avx512f", "sha_ni", "sha2")
    memory = next(
        int(line.split()[1])
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal")
    )
    file_system = subprocess.run(
        ["stat", "--file-system", "--format=%T", scratch], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    versions = {name: contenders.ALL[name].version(program) for name, program in programs.items()}
    versions["zstd"] = subprocess.run(
        ["zstd", "--version"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip(" *\n")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{fields.get('model name', platform.machine())}, {len(os.sched_getaffinity(0))} cores, "
        + " ".join(flag for flag in wanted if flag in known),
        "memory": f"{memory / 2**20:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}, {file_system}",
        "versions": "; ".join(versions.values()),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "rounds": rounds,
        "how": "data in the page cache, sync before each command, medians of wall time; peak memory is that"
        " of the largest process, over all rounds",
    }
