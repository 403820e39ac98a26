"""A private PostgreSQL server that lives as long as one workload is being made."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

BINARIES = Path(os.environ.get("PG_BIN", "/usr/lib/postgresql/15/bin"))

# Durability is off because the data is thrown away on a crash; what a backup tool sees of it (page layout,
# WAL level, checkpoints) is as on any server. Autovacuum and parallel workers would make runs differ.
SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "shared_buffers": "512MB",
    "maintenance_work_mem": "512MB",
    "work_mem": "256MB",
    "max_wal_size": "4GB",
    "timezone": "UTC",
}


class Cluster:
    """Started by `with`, stopped and removed at its end. The socket is in its own folder; TCP is off.

    `settings` are added to those above; `first_segment` is the name of the segment that the log begins with.
    """

    def __init__(self, parent: Path, settings: dict | None = None, first_segment: str | None = None):
        self.parent = parent
        self.settings = SETTINGS | (settings or {})
        self.first_segment = first_segment

    def __enter__(self):
        # A socket's path may have at most 107 bytes, so it is never below a folder that the user chose.
        self.socket = Path(tempfile.mkdtemp(prefix="bench-pg-", dir="/tmp"))
        self.home = Path(tempfile.mkdtemp(prefix=".cluster-", dir=self.parent))
        self.data = self.home / "data"
        self.prefix = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
            account = pwd.getpwnam("postgres")
            for folder in (self.home, self.socket):
                os.chown(folder, account.pw_uid, account.pw_gid)
            self.prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        try:
            self._server(
                "initdb",
                "--pgdata",
                self.data,
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            )
            with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
                conf.write(f"unix_socket_directories = '{self.socket}'\n")
                conf.writelines(f"{key} = {value}\n" for key, value in self.settings.items())
            if self.first_segment:
                self._server("pg_resetwal", "--pgdata", self.data, "--next-wal-file", self.first_segment)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        self._server("pg_ctl", "--pgdata", self.data, "--wait", "--log", self.home / "log", "start")

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            self._server("pg_ctl", "--pgdata", self.data, "--wait", "--mode=fast", "stop")

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.socket, ignore_errors=True)

    def give(self, path: Path):
        """Makes the server's account the owner."""
        if self.prefix:
            account = pwd.getpwnam("postgres")
            os.chown(path, account.pw_uid, account.pw_gid)

    def _server(self, program, *arguments):
        command = [*self.prefix, str(BINARIES / program), *map(str, arguments)]
        # The server inherits these descriptors, so a pipe would never end: a file takes the output.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
            if done.returncode != 0:
                output.seek(0)
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace').strip()}")

    def _client(self, program, *arguments, **options):
        command = [str(BINARIES / program), "--host", str(self.socket), "--username", "postgres"]
        return subprocess.run([*command, *map(str, arguments)], check=True, **options)

    def sql(self, text: str, database: str = "postgres"):
        """Runs a script in one session; the first error ends it."""
        self._client(
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--dbname",
            database,
            input=text,
            text=True,
            stdout=subprocess.DEVNULL,
        )

    def value(self, query: str) -> str:
        """The one value that a query answers."""
        return self._client(
            "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", query, "postgres",
            text=True, stdout=subprocess.PIPE,
        ).stdout.strip()

    def dump(self, target: Path, database: str = "postgres", reverse_data: bool = False):
        """A plain dump; with `reverse_data` the tables' rows come in the opposite order of tables."""
        if not reverse_data:
            self._client("pg_dump", "--file", target, database)
            return
        archive = target.with_suffix(".archive")
        self._client("pg_dump", "--format=custom", "--compress=0", "--file", archive, database)
        listing = subprocess.run(
            [BINARIES / "pg_restore", "--list", archive], check=True, text=True, stdout=subprocess.PIPE
        ).stdout.splitlines()
        places = [number for number, line in enumerate(listing) if " TABLE DATA " in line]
        reordered = list(listing)
        for place, line in zip(places, reversed([listing[number] for number in places]), strict=True):
            reordered[place] = line
        order = target.with_suffix(".list")
        order.write_text("\n".join(reordered) + "\n")
        subprocess.run([BINARIES / "pg_restore", "--use-list", order, "--file", target, archive], check=True)
        archive.unlink()
        order.unlink()

    def base_backup(self, target: Path):
        """What `pg_basebackup` writes as plain files, with the WAL that makes it consistent."""
        self._client(
            "pg_basebackup",
            "--pgdata",
            target,
            "--format=plain",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-sync",
        )
