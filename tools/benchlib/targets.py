"""What `repo` has to reach, beside the other programs in the same run."""

from typing import NamedTuple


class Target(NamedTuple):
    """How many times as fast `repo` is to be, and the largest share of the other's bytes it may add."""

    against: str
    speed: float | None
    bytes: float | None = None


NO_LARGER = 1.02  # Two per cent of grace.
PEAK_BYTES = 256 << 20
INDEX_PEAK_BYTES = 400_000_000  # With an index of ten million blobs.
VERSION_SECONDS = 0.015
SMALL_CAT_SECONDS = 0.040
DELTA_LIMIT = 2.5
DELTA_AIM = 1.5
DAILY_RESTORE = 1.3

TARGETS = {
    "dump first": [Target("restic", 3.5, NO_LARGER), Target("borg", 2.2, NO_LARGER)],
    "dump changed": [Target("restic", 3, 1 / 17), Target("borg", 2, 1 / 17)],
    "dump unchanged": [Target("restic", 7), Target("borg", 4)],
    "dump check": [Target("restic", 5), Target("borg", 3)],
    "dump to output": [Target("restic", 6), Target("borg", 2)],
    "base changed": [Target("restic", 3, 1 / 11), Target("borg", 2, 1 / 11)],
    "tree first": [Target("restic", 3.5), Target("borg", 3)],
    "tree unchanged": [Target("restic", 2), Target("borg", 4)],
    "tree restored": [Target("restic", 2), Target("borg", 2)],
    "cluster first": [Target("pgbackrest", 2), Target("pg_basebackup", 1 / 1.1)],
    "cluster changed": [Target("pgbackrest", None, 1 / 11)],
    "cluster restored": [Target("pgbackrest", 1)],
    "log sustained": [Target("pgbackrest", 2)],
    "s3 first": [Target("restic", 3)],
    "s3 restored": [Target("restic", 2)],
    "s3 50 ms first": [Target("restic", 3)],
    "s3 50 ms restored": [Target("restic", 2)],
}
SEGMENTS_A_SECOND = 8
PUSH_SECONDS = 0.150
PREFETCHED_GET_SECONDS = 0.015
CLUSTER_DAYS_RESTORE = 1.1
STATUS_SECONDS = 1
