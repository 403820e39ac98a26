"""Medians, ratios and verdicts, as one structure that is printed as text or JSON."""

from statistics import median

from . import targets
from .work import Bench


def medians(bench: Bench) -> dict:
    """row -> contender -> medians of what was measured."""
    grouped: dict[str, dict[str, list]] = {}
    for sample in bench.samples:
        grouped.setdefault(sample.row, {}).setdefault(sample.contender, []).append(sample)
    return {
        row: {
            name: {
                "wall_seconds": round(median(sample.run.wall_seconds for sample in samples), 4),
                "cpu_seconds": None
                if samples[0].run.cpu_seconds is None
                else round(median(sample.run.cpu_seconds for sample in samples), 4),
                "peak_bytes": max(sample.run.peak_bytes for sample in samples),
                "bytes_added": None
                if samples[0].bytes_added is None
                else round(median(sample.bytes_added for sample in samples)),
                "rounds": len(samples),
            }
            for name, samples in contenders.items()
        }
        for row, contenders in grouped.items()
    }


def _verdict(work: str, what: str, reached: float, target: float, at_most: bool) -> dict:
    return {
        "work": work,
        "what": what,
        "reached": reached,
        "target": target,
        "bound": "at most" if at_most else "at least",
        "met": reached <= target if at_most else reached >= target,
    }


def verdicts(rows: dict, deltas: dict) -> list[dict]:
    """Every target for which both sides were measured."""
    found = []
    for row, wanted in targets.TARGETS.items():
        ours = rows.get(row, {}).get("repo")
        for target in wanted:
            theirs = rows.get(row, {}).get(target.against)
            if not ours or not theirs:
                continue
            if target.speed:
                found.append(
                    _verdict(
                        row,
                        f"times as fast as {target.against}",
                        theirs["wall_seconds"] / ours["wall_seconds"],
                        target.speed,
                        False,
                    )
                )
            if target.bytes:
                found.append(
                    _verdict(
                        row,
                        f"of the bytes of {target.against}",
                        ours["bytes_added"] / theirs["bytes_added"],
                        target.bytes,
                        True,
                    )
                )
    for row, contenders in rows.items():
        unmeasured = ("delta ", "daily ", "start ", "log ", "index ")  # Many short processes, or too little data to tell.
        if "repo" in contenders and not row.startswith(unmeasured):
            found.append(
                _verdict(
                    row,
                    "MB of memory at the peak",
                    contenders["repo"]["peak_bytes"] / 2**20,
                    targets.PEAK_BYTES / 2**20,
                    True,
                )
            )
    for row, contenders in rows.items():
        if row.startswith("index "):
            peak, bound = contenders["repo"]["peak_bytes"], targets.INDEX_PEAK_BYTES
            found.append(_verdict(row, "MB of memory at the peak", peak / 1e6, bound / 1e6, True))
    for label, delta in deltas.items():
        if "repo" in delta["bytes_added"]:
            found.append(
                _verdict(
                    f"delta {label}",
                    "times the limit",
                    delta["bytes_added"]["repo"] / delta["limit_bytes"],
                    targets.DELTA_LIMIT,
                    True,
                )
            )
    reads = [rows.get(f"daily {which} read", {}).get("repo") for which in ("last", "first")]
    if all(reads):
        found.append(
            _verdict(
                "daily",
                "times as long to read day 30 as day 1",
                reads[0]["wall_seconds"] / reads[1]["wall_seconds"],
                targets.DAILY_RESTORE,
                True,
            )
        )
    for row, bound in (
        ("start version", targets.VERSION_SECONDS),
        ("start small cat", targets.SMALL_CAT_SECONDS),
    ):
        if row in rows:
            found.append(_verdict(row, "ms", rows[row]["repo"]["wall_seconds"] * 1e3, bound * 1e3, True))
    return found


def summary(bench: Bench, machine: dict) -> dict:
    """Everything, ready for JSON."""
    rows = medians(bench)
    deltas = {}
    for label, delta in bench.deltas.items():
        if label == "29 days":
            names = [row for row in rows if row.startswith("daily ") and row[6:].isdigit()][1:]
            added = {
                name: sum(rows[row][name]["bytes_added"] for row in names if name in rows[row])
                for name in bench.programs
            }
        else:
            added = {
                name: values["bytes_added"] for name, values in rows.get(f"delta {label} changed", {}).items()
            }
        deltas[label] = delta | {"bytes_added": added}
    return {
        "machine": machine,
        "notes": bench.notes,
        "rows": rows,
        "deltas": deltas,
        "figures": [figure._asdict() for figure in bench.figures],
        "targets": verdicts(rows, deltas)
        + [
            _verdict(figure.row, f"{figure.contender}: {figure.what}", figure.value, figure.target, figure.at_most)
            for figure in bench.figures
            if figure.target is not None
        ],
        "problems": bench.problems,
    }


def _table(heads: list[str], lines: list[list[str]], left: int) -> str:
    """Columns as wide as they need; the first `left` of them flush left, the numbers flush right."""
    widths = [max(len(line[column]) for line in [heads, *lines]) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [heads, ["-" * width for width in widths], *lines]
    )


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def text(result: dict) -> str:
    """The result for people."""
    machine = result["machine"]
    parts = ["\n".join(f"{key}: {value}" for key, value in machine.items()), "\n".join(result["notes"])]

    measured = []
    for row, contenders in result["rows"].items():
        if row.startswith("delta ") or row.startswith("daily ") and row[6:].isdigit():
            continue
        ours = contenders.get("repo")
        for name, values in contenders.items():
            added = values["bytes_added"]
            ratio = byte_ratio = ""
            if ours and name != "repo":
                ratio = _number(values["wall_seconds"] / ours["wall_seconds"])
                if added and ours["bytes_added"] is not None:
                    byte_ratio = _number(ours["bytes_added"] / added)
            measured.append(
                [
                    row,
                    name,
                    f"{values['wall_seconds']:.3f}",
                    "" if values["cpu_seconds"] is None else f"{values['cpu_seconds']:.2f}",
                    f"{values['peak_bytes'] / 2**20:.0f}" if values["peak_bytes"] else "",
                    "" if added is None else f"{added / 1e6:.2f}",
                    ratio,
                    byte_ratio,
                ]
            )
    if measured:
        parts.append(
            _table(
                [
                    "work",
                    "program",
                    "seconds",
                    "CPU s",
                    "peak MiB",
                    "MB added",
                    "repo is × as fast",
                    "repo's bytes",
                ],
                measured,
                2,
            )
        )

    if result["figures"]:
        parts.append(
            _table(
                ["work", "program", "what", "value"],
                [
                    [figure["row"], figure["contender"], figure["what"], _number(figure["value"])]
                    for figure in result["figures"]
                ],
                3,
            )
        )

    if result["deltas"]:
        lines = []
        for label, delta in result["deltas"].items():
            limit, added = delta["limit_bytes"], delta["bytes_added"]
            ratio = added["repo"] / limit if "repo" in added else None
            verdict = (
                ""
                if ratio is None
                else (
                    "aim met"
                    if ratio <= targets.DELTA_AIM
                    else "met"
                    if ratio <= targets.DELTA_LIMIT
                    else "MISSED"
                )
            )
            lines.append(
                [
                    label,
                    delta["about"],
                    f"{limit / 1e6:.2f}",
                    *(
                        f"{added[name] / 1e6:.2f}" if name in added else ""
                        for name in ("repo", "restic", "borg")
                    ),
                    "" if ratio is None else f"{ratio:.2f}",
                    verdict,
                ]
            )
        parts.append(
            "MB added by the second state; the limit is zstd -3 --long=31 --patch-from; at most "
            f"{targets.DELTA_LIMIT} times it, the aim is {targets.DELTA_AIM}\n\n"
            + _table(
                ["workload", "change", "limit", "repo", "restic", "borg", "repo/limit", "verdict"], lines, 2
            )
        )

    if result["targets"]:
        lines = [
            [
                entry["work"],
                entry["what"],
                _number(entry["reached"]),
                entry["bound"],
                _number(entry["target"]),
                "met" if entry["met"] else "MISSED",
            ]
            for entry in result["targets"]
        ]
        parts.append(_table(["work", "what", "reached", "bound", "target", "verdict"], lines, 2))
        met = sum(entry["met"] for entry in result["targets"])
        parts.append(f"{met} of {len(lines)} targets met")
    if result["problems"]:
        parts.append("PROBLEMS\n" + "\n".join(result["problems"]))
    return "\n\n".join(part for part in parts if part) + "\n"
