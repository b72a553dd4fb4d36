"""The throw-away server: statements by psql, what landed, and the processor time that it took."""

import os
import subprocess
import urllib.request
from pathlib import Path

from orders_table import COLUMNS

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def psql(*commands, stdin=None):
    """Runs commands over one connection and returns what they print, unaligned."""
    arguments = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    for command in commands:
        arguments += ["-c", command]
    done = subprocess.run(arguments, stdin=stdin or subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"peers: psql failed: {done.stderr.strip()}")
    return done.stdout.strip()


def checksum(table, empty_is_null=False):
    """The number of rows and a sum over them that PostgreSQL computes, as the suite does.

    Columns are found by name and cast to the workload's types; a row's part of the sum is the start of SHA-256 over its
    binary form (`record_send`). With `empty_is_null` an empty text counts as NULL: some loaders have one form for both.
    """

    def cell(name, kind):
        value = f'"{name}"::{kind}'
        return f"nullif({value}, '')" if empty_is_null and kind == "text" else value

    row = ", ".join(cell(name, kind) for name, kind in COLUMNS.items())
    return psql(
        f"SELECT count(*), coalesce(sum(('x' || encode(substr(sha256(record_send(ROW({row}))), 1, 8), 'hex'))"
        f"::bit(64)::bigint), 0) FROM {table}"
    )


def differing_types(schema):
    """What a loader's table has other than the workload's: `note varchar`, in words."""
    listed = psql(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        f" WHERE attrelid = '{schema}.orders'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    landed = dict(line.split("|") for line in listed.splitlines())
    by_kind = {}
    for name, kind in COLUMNS.items():
        if landed[name] != kind:
            by_kind.setdefault(f"{kind} as {landed[name]}", []).append(name)
    more = [name for name in landed if name not in COLUMNS]
    return [*by_kind, *([f"more columns: {', '.join(more)}"] if more else [])]


def make_reference(url, rows, file):
    """Loads the API's NDJSON by psql into `reference.orders`, and writes it to `file` in COPY's binary format.

    The server itself reads the values from the JSON: no loader has a part in what the others are compared with.
    """
    cells = ", ".join(
        # A JSON null is a value of jsonb, and no NULL.
        f"nullif(row -> '{name}', 'null')" if kind == "jsonb" else f"(row ->> '{name}')::{kind}"
        for name, kind in COLUMNS.items()
    )
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    lines = Path(file).with_suffix(".ndjson")
    urllib.request.urlretrieve(f"{url}.ndjson", lines)
    psql(
        "CREATE SCHEMA reference",
        "CREATE TABLE reference.line (row jsonb)",
        # Quote and delimiter are bytes that JSON never holds, so that a line is one value.
        f"\\copy reference.line FROM '{lines}' WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')",
    )
    lines.unlink()
    keys = set(psql("SELECT DISTINCT jsonb_object_keys(row) FROM reference.line").splitlines())
    if keys != set(COLUMNS):
        raise SystemExit(f"peers: orders_table.py has other columns than the workload: {sorted(keys ^ set(COLUMNS))}")
    psql(
        f"CREATE TABLE reference.orders ({names}) AS SELECT {cells} FROM reference.line",
        "DROP TABLE reference.line",
        f"\\copy reference.orders TO '{file}' WITH (FORMAT binary)",
    )
    counted = int(psql("SELECT count(*) FROM reference.orders"))
    if counted != rows:
        raise SystemExit(f"peers: the API has {counted:,} rows instead of {rows:,}")


class ServerTime:
    """Processor time of all server processes, in seconds; nothing where they cannot be seen."""

    def __init__(self):
        pid_file = Path(psql("SHOW data_directory")) / "postmaster.pid"
        try:
            self.postmaster = pid_file.read_text().split()[0]
        except OSError:
            self.postmaster = None

    def seconds(self):
        if self.postmaster is None:
            return None
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, after = stat.parent.name, stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # proc(5): ppid is the 4th field, utime to cstime are the 14th to 17th; those of ended backends are in
            # the postmaster's last two.
            own, of_ended = map(int, after[11:13]), map(int, after[13:15])
            if pid == self.postmaster:
                ticks += sum(own) + sum(of_ended)
            elif after[1] == self.postmaster:
                ticks += sum(own)
        return ticks / TICKS_PER_SECOND
