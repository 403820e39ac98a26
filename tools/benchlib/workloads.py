"""The workloads: what each changes between its two states, and how its files are made."""

import os
import shutil
import time
from pathlib import Path
from typing import Callable, NamedTuple

from . import schema
from .cluster import Cluster

DAYS = 30


class Pair(NamedTuple):
    """A workload of two states, each a dump and, where asked, a base backup."""

    about: str
    fill: Callable[[float], str]
    change: Callable[[float], str]
    base: bool = False
    reverse_data: bool = False


def _orders(scale: float) -> str:
    return schema.ORDERS_TABLE + schema.orders(int(6_000_000 * scale)) + schema.index("orders")


def _log(scale: float) -> str:
    return (
        schema.CUSTOMERS_TABLE
        + schema.EVENTS_TABLE
        + schema.customers(int(300_000 * scale))
        + schema.events(int(1_750_000 * scale))
        + schema.index("customers", "email")
        + schema.index("events", "account_id", "at")
    )


def _log_change(scale: float) -> str:
    """A day of work: old events expire, recent ones are amended, most strongly the last; new ones arrive."""
    rows = int(1_750_000 * scale)
    return (
        f"""
SELECT setseed(0.17);
DELETE FROM events WHERE id <= {rows // 100};
UPDATE events SET payload = payload || '{{"success": true, "retried": 1}}', note = 'amended: ' || note
WHERE id IN (SELECT {rows} - floor(power(random(), 3) * {rows // 2})::bigint
             FROM generate_series(1, {rows // 100}));
UPDATE customers SET last_seen = timestamptz '2024-03-01 00:00:00+00' + random() * interval '1 day',
       balance = balance + 10, preferences = preferences || '{{"theme": "contrast"}}'
WHERE id % 97 = 5;
"""
        + schema.events(rows // 200, rows + 1)
        + "VACUUM (ANALYZE) events;\n"
    )


def _shop(scale: float) -> str:
    """Three tables, about 250 MB as a dump."""
    return (
        schema.ORDERS_TABLE
        + schema.CUSTOMERS_TABLE
        + schema.EVENTS_TABLE
        + schema.customers(int(150_000 * scale))
        + schema.events(int(300_000 * scale))
        + schema.orders(int(1_000_000 * scale))
        + schema.index("customers")
        + schema.index("events")
        + schema.index("orders", "customer_id")
    )


def _move(scale: float) -> str:
    """Forty runs of 500 orders and twenty of 300 events leave their places for the table's end."""
    step_orders, step_events = int(1_000_000 * scale) // 40, int(300_000 * scale) // 20
    return "".join(
        f"CREATE TEMPORARY TABLE moved AS SELECT * FROM {table} WHERE id % {step} BETWEEN 1 AND {count};\n"
        f"DELETE FROM {table} WHERE id % {step} BETWEEN 1 AND {count};\n"
        f"INSERT INTO {table} SELECT * FROM moved ORDER BY md5((id / {step})::text), id;\nDROP TABLE moved;\n"
        for table, step, count in (
            ("orders", step_orders, int(500 * scale)),
            ("events", step_events, int(300 * scale)),
        )
    )


PAIRS = {
    "A": Pair(
        "0.5 % of 6 million rows updated, scattered evenly",
        _orders,
        lambda scale: (
            "UPDATE orders SET status = 'returned', updated_at = updated_at + interval '17 hours'"
            " WHERE id % 200 = 7;\n"
        ),
        base=True,
    ),
    "B": Pair("recent rows updated, old ones deleted, JSON", _log, _log_change, base=True),
    "deleted": Pair(
        "1 % of rows deleted, scattered",
        _shop,
        lambda scale: "DELETE FROM orders WHERE id % 100 = 31;\nDELETE FROM events WHERE id % 100 = 3;\n",
    ),
    "moved": Pair("2 % of rows moved in runs", _shop, _move),
    "columns": Pair(
        "a column added to two tables",
        _shop,
        lambda scale: (
            "ALTER TABLE orders ADD COLUMN tax_rate numeric(4,2) NOT NULL DEFAULT 19.00;\n"
            "ALTER TABLE customers ADD COLUMN locked boolean NOT NULL DEFAULT false;\n"
        ),
    ),
    "reordered": Pair("tables in another order", _shop, lambda scale: "", reverse_data=True),
    "sorted": Pair(
        "rows sorted by another column", _shop, lambda scale: "CLUSTER orders USING orders_customer_id_idx;\n"
    ),
    "recent": Pair(
        "1 % of rows updated, most of them recent",
        _shop,
        lambda scale: (
            f"""
SELECT setseed(0.23);
UPDATE orders SET status = 'shipped', updated_at = updated_at + interval '3 hours'
WHERE id IN (SELECT {int(1_000_000 * scale)} - floor(power(random(), 4) * {int(999_000 * scale)})::bigint
             FROM generate_series(1, {int(10_000 * scale)}));
UPDATE events SET note = note || ' (seen)'
WHERE id IN (SELECT {int(300_000 * scale)} - floor(power(random(), 4) * {int(299_000 * scale)})::bigint
             FROM generate_series(1, {int(3_000 * scale)}));
"""
        ),
    ),
}


def _daily_fill(scale: float) -> str:
    return (
        schema.ORDERS_TABLE
        + schema.CUSTOMERS_TABLE
        + schema.customers(int(50_000 * scale))
        + schema.orders(int(330_000 * scale))
        + schema.index("customers")
        + schema.index("orders")
    )


def _daily_change(day: int, scale: float) -> str:
    """New orders, amended recent orders, customers who were seen; once a week the old orders expire."""
    rows, fresh = int(330_000 * scale), int(1_000 * scale)
    last = rows + (day - 2) * fresh
    expire = f"DELETE FROM orders WHERE id <= {day * fresh};\nVACUUM orders;\n" if day % 7 == 0 else ""
    return (
        f"""
SELECT setseed({day / 100});
UPDATE orders SET status = 'shipped', updated_at = updated_at + interval '{day} hours'
WHERE id IN (SELECT {last} - floor(power(random(), 3) * {rows // 2})::bigint
             FROM generate_series(1, {fresh}));
UPDATE customers
SET last_seen = timestamptz '2024-06-01 00:00:00+00' + ({day} + random()) * interval '1 day'
WHERE id % 101 = {day};
"""
        + schema.orders(fresh, last + 1)
        + expire
    )


NAMES = [*PAIRS, "daily"]


def _make_pair(pair: Pair, target: Path, scale: float):
    with Cluster(target) as cluster:
        cluster.sql(schema.SEED + pair.fill(scale))
        for state in ("1", "2"):
            if state == "2":
                cluster.sql(pair.change(scale))
            # The checkpoint comes after the dump: reading sets hint bits and prunes pages, as on any server.
            cluster.dump(target / f"dump-{state}.sql", reverse_data=pair.reverse_data and state == "2")
            if pair.base:
                cluster.base_backup(target / f"base-{state}")


def _make_daily(target: Path, scale: float):
    with Cluster(target) as cluster:
        cluster.sql(schema.SEED + _daily_fill(scale))
        for day in range(1, DAYS + 1):
            if day > 1:
                cluster.sql(_daily_change(day, scale))
            cluster.dump(target / f"dump-{day:02}.sql")


def make(directory: Path, names: list[str], scale: float, report: Callable[[str], None]):
    """Makes what is missing of `names`. A workload appears under its name only when it is whole."""
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob(".partial-*"):  # Of a run that was killed.
        if not Path("/proc", left.name.rsplit("-", 1)[1]).exists():
            shutil.rmtree(left)
    for name in names:
        if (directory / name).exists():
            continue
        started = time.monotonic()
        partial = directory / f".partial-{name}-{os.getpid()}"
        partial.mkdir()
        partial.chmod(0o755)
        try:
            if name == "daily":
                _make_daily(partial, scale)
            else:
                _make_pair(PAIRS[name], partial, scale)
            partial.rename(directory / name)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        report(f"{name}: made in {time.monotonic() - started:.0f} s")
