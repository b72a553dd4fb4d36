"""Measures other loaders beside apitap: interleaved, verified, as a table and raw samples. Started by scripts/peers."""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from arms import NAMES, make_arms
from ratios import in_words, paired_ratio, three_digits
from server import ServerTime, checksum, differing_types, make_reference, psql

# A block in which the host took away more than this share of the processors is measured again.
STOLEN_SHARE = 0.02


def main():
    options = parse()
    with tempfile.TemporaryDirectory(prefix="apitap-peers-") as folder:
        measured = measure(options, Path(folder))
    report = markdown(measured)
    run = Path("reports/runs") / f"{measured['begun']}-{measured['commit'][:8]}-peers"
    run.mkdir(parents=True)
    (run / "peers.json").write_text(json.dumps(measured, indent=2) + "\n")
    (run / "peers.md").write_text(report)
    print(report)
    say(f"raw samples: {run}/peers.json")


def parse():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--blocks", type=int, required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--apitap", required=True)
    parser.add_argument("--apitap-bench", required=True)
    parser.add_argument("--faucet", default="faucet")
    parser.add_argument("--missing", action="append", default=[], help="a peer that cannot be had, and why")
    parser.add_argument("peers", nargs="+", choices=NAMES)
    return parser.parse_args()


def measure(options, folder):
    begun = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    # Nothing but the loads writes to the tables.
    psql("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
    api = subprocess.Popen(
        [options.apitap_bench, "mock-api", "--workload", "orders", "--rows", str(options.rows), "--exit-with-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = json.loads(api.stdout.readline())["url"]
        reference = folder / "orders.copy"
        say(f"making the reference: {options.rows:,} rows")
        make_reference(url, options.rows, reference)
        arms = make_arms(
            set(options.peers), url, reference, options.apitap, options.faucet, folder
        )
        warm_ups = [sample(arm, block=0) for arm in arms]
        differences = {arm.name: differing_types(arm.schema) for arm in arms}
        samples = blocks(arms, options.blocks, random.Random(seed))
    finally:
        api.communicate()
    return {
        "begun": begun,
        "commit": git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(git("status", "--porcelain")),
        "rows": options.rows,
        "blocks": options.blocks,
        "seed": seed,
        "machine": machine(),
        "server": psql("SHOW server_version"),
        "versions": versions(),
        "arms": {
            arm.name: {
                "what": arm.what,
                "empty_text_is_null": arm.empty_is_null,
                "differing_types": differences[arm.name],
            }
            for arm in arms
        },
        "missing": options.missing,
        "warm_ups": warm_ups,
        "samples": samples,
    }


def blocks(arms, wanted, order):
    """Samples of whole blocks; those of void ones are kept, marked, and measured again, at most as many as wanted."""
    samples, valid = [], 0
    for block in range(1, 2 * wanted + 1):
        shuffled = order.sample(arms, len(arms))
        taken = [sample(arm, block) for arm in shuffled]
        void = any(one["stolen_share"] > STOLEN_SHARE for one in taken)
        samples += [one | {"void": void} for one in taken]
        valid += not void
        say(f"block {block}: {'void, the host took the processors away' if void else f'{valid} of {wanted}'}")
        if valid == wanted:
            break
    if valid == 0:
        raise SystemExit("peers: the host took the processors away in every block: try again on a quiet machine")
    return samples


def sample(arm, block):
    """One verified load into a schema that is made anew."""
    psql(
        f"DROP SCHEMA IF EXISTS {arm.schema} CASCADE",
        f"CREATE SCHEMA {arm.schema}",
        *arm.before,
        "CHECKPOINT",
    )
    server = ServerTime()
    server_before, stolen_before, total_before = server.seconds(), *processor_ticks()
    with tempfile.TemporaryFile() as said:
        begin = time.monotonic()
        process = subprocess.Popen(arm.command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
        # Its usage includes that of the children it has waited for.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        server_after, stolen_after, total_after = server.seconds(), *processor_ticks()
        if process.returncode != 0:
            said.seek(0)
            tail = said.read().decode(errors="replace")[-3000:]
            raise SystemExit(f"peers: {arm.name} ended with {process.returncode}:\n{tail}")
    verify(arm)
    taken = {
        "arm": arm.name,
        "block": block,
        "wall_s": round(wall, 6),
        "client_cpu_s": round(usage.ru_utime + usage.ru_stime, 6),
        "server_cpu_s": None if server_before is None else round(server_after - server_before, 2),
        "stolen_share": round((stolen_after - stolen_before) / max(total_after - total_before, 1), 4),
    }
    say(f"{arm.name}: {wall:.2f} s")
    return taken


def verify(arm):
    landed = checksum(f"{arm.schema}.orders", arm.empty_is_null)
    expected = checksum("reference.orders", arm.empty_is_null)
    if landed != expected:
        say(f"{arm.name} loaded wrong data: rows|checksum is {landed} instead of {expected}")
        sys.exit(6)


def processor_ticks():
    """Ticks stolen by the host, and all ticks (proc(5), /proc/stat)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[7], sum(fields)


def machine():
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{os.cpu_count()} cores of {model}"


def versions():
    packages = ["dlt", "psycopg", "psycopg2-binary", "pandas", "SQLAlchemy", "pyarrow", "requests", "orjson"]
    return {"Python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def markdown(measured):
    valid = [one for one in measured["samples"] if not one["void"]]
    of_arm = {name: [one for one in valid if one["arm"] == name] for name in measured["arms"]}
    for taken in of_arm.values():
        taken.sort(key=lambda one: one["block"])
    count = len(of_arm["apitap"])
    blocks_said = "1 block" if count == 1 else f"{count} blocks"
    lines = [
        f"Loads of {measured['rows']:,} rows of `orders` from a mock API in pages of 1,000 into PostgreSQL"
        f" {measured['server']}, on {measured['machine']}: {blocks_said}, each with every loader once in random order"
        f" (seed {measured['seed']}). API, loader and server share the machine.",
        "",
        "| loader | time | rows/s | time ÷ apitap | client CPU | CPU ÷ apitap | server CPU | table |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, taken in sorted(of_arm.items(), key=lambda item: -median(item[1], "wall_s")):
        wall = median(taken, "wall_s")
        ratios = [
            "1"
            if name == "apitap"
            else in_words(*paired_ratio(column(taken, metric), column(of_arm["apitap"], metric)))
            for metric in ("wall_s", "client_cpu_s")
        ]
        arm = measured["arms"][name]
        same = "same, the empty text as NULL" if arm["empty_text_is_null"] else "same"
        server = median(taken, "server_cpu_s") if taken[0]["server_cpu_s"] is not None else None
        lines.append(
            f"| {arm['what']} | {three_digits(wall)} s | {three_digits(measured['rows'] / wall)} | {ratios[0]}"
            f" | {three_digits(median(taken, 'client_cpu_s'))} s | {ratios[1]}"
            f" | {'–' if server is None else f'{three_digits(server)} s'}"
            f" | {'; '.join([same, *arm['differing_types']])} |"
        )
    lines += [
        "",
        "Times and CPU are medians. A ratio is the geometric mean of the ratios within blocks, with its 95% t interval"
        " of their logs. A time is that of the whole command, start-up included; client CPU that of its process tree."
        " After each load the server compared the table with a reference that it made from the API's NDJSON itself:"
        " rows, and a checksum over all columns by name, cast to the workload's types.",
    ]
    if count < 6:
        lines += ["", "Fewer than six blocks: the intervals say little."]
    void = len({one["block"] for one in measured["samples"] if one["void"]})
    if void:
        lines += ["", f"Void blocks, in which the host took away more than {STOLEN_SHARE:.0%} of the processors: {void}."]
    lines += ["", *[f"Not measured: {missing}" for missing in measured["missing"]]]
    lines += ["Versions: " + ", ".join(f"{name} {version}" for name, version in measured["versions"].items()) + "."]
    return "\n".join(lines) + "\n"


def column(samples, metric):
    return [one[metric] for one in samples]


def median(samples, metric):
    return statistics.median(column(samples, metric))


def git(*arguments):
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
