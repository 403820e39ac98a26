"""The bytes that a delta of the whole costs: what no deduplication by pieces is expected to reach."""

import json
import subprocess
import tempfile
from pathlib import Path


def patch_bytes(old: Path, new: Path) -> int:
    """The size of `zstd -3 --long=31 --patch-from=old new`; folders are compared as tar streams.

    It is computed once and kept in `limits.json` beside the data. Needs memory for both files.
    """
    record = new.parent / "limits.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    if new.name not in known:
        with tempfile.TemporaryDirectory(dir=new.parent, prefix=".tar-") as scratch:
            known[new.name] = _patch(_as_file(old, Path(scratch)), _as_file(new, Path(scratch)))
        record.write_text(json.dumps(known, indent=1) + "\n")
    return known[new.name]


def _as_file(path: Path, scratch: Path) -> Path:
    if path.is_file():
        return path
    archive = scratch / f"{path.name}.tar"
    subprocess.run(
        ["tar", "--sort=name", "--create", "--file", archive, "--directory", path, "."], check=True
    )
    return archive


def _patch(old: Path, new: Path) -> int:
    command = ["zstd", "-3", "--long=31", "--patch-from", old, "--stdout", "--quiet", new]
    total = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while piece := process.stdout.read(1 << 20):
            total += len(piece)
    if process.returncode != 0:
        raise RuntimeError(f"zstd --patch-from of {new} failed")
    return total
