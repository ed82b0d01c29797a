"""From the swap of a volume to the content in the program: one client of confstreamd over gRPC against the file
watchers of Go's best-known configuration libraries, which run inside the program.

The clock starts before the swap begins. An update that a watcher skips is charged until a later one arrives; one after
which nothing arrived any more has no time, and is counted as lost.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time

import watching
from report import Row

PEERS = ("viper", "koanf")
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
FILE = "payload.yaml"
RATE = 1000  # swaps a second
GRACE = 2.0  # seconds that a peer gets for the last swap
DEADLINE = 120.0
# Where the distribution of all times is told; watch_load has the same.
PARTS = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1]


def run(context):
    """Returns the rows, and the results that they are made of."""
    updates = 1000 if context.quick else 10000
    build_peers(context)
    print(f"== propagation: {updates} swaps 1 ms apart", file=sys.stderr)
    results = {name: [] for name in ("confstream", *PEERS)}
    for _ in range(context.rounds):
        result = watching.run(
            context, "confstream", watchers=1, connections=1, bytes=1024, rate=RATE, updates=updates, warm_up=100,
            file=FILE,
        )
        del result["rss_bytes"]  # one for each update: they would be most of what a run keeps
        results["confstream"].append(result)
        for peer in PEERS:
            results[peer].append(run_peer(context, peer, updates))
    rows = [
        Row(
            "propagation", what, "ms",
            [run[figure] for run in results["confstream"]],
            "viper",
            [math.inf if run[figure] is None else run[figure] for run in results["viper"]],
            1.0,
        )
        for what, figure in (("median", "all_median_ms"), ("p99", "all_p99_ms"))
    ]
    return rows, results


def build_peers(context):
    if shutil.which("go") is None:
        sys.exit("propagation is measured against Go libraries: install Go, the version of their go.mod or newer")
    for peer in PEERS:
        program = os.path.abspath(os.path.join(context.programs, f"bench_{peer}"))
        subprocess.run(["go", "build", "-o", program, "."], cwd=os.path.join(SOURCES, peer), check=True)


def run_peer(context, peer, updates):
    with tempfile.TemporaryDirectory(prefix="confstream-bench.", dir=context.tmpfs) as directory:
        volume = os.path.join(directory, "volume")
        swap(context, volume, 0, 1)
        with subprocess.Popen(
            [os.path.join(context.programs, f"bench_{peer}"), os.path.join(volume, FILE)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as process:
            try:
                if process.stdout.readline().strip() != "ready":
                    raise RuntimeError(f"{peer} did not start")
                began = swap(context, volume, 1, updates)
                time.sleep(GRACE)
                output, _ = process.communicate("", timeout=DEADLINE)
            finally:
                process.kill()
    result = {"server": peer, "updates": updates, **latencies(json.loads(output), began)}
    told = ", ".join(f"{name} {value}" for name, value in result.items() if name not in ("server", "all_quantiles"))
    print(f"   {peer:10}  {told}", file=sys.stderr, flush=True)
    return result


def swap(context, volume, first, updates):
    """Swaps from number `first` on, and returns when each swap began."""
    command = [
        os.path.join(context.programs, "swap_load"), volume, "--file", FILE, "--first", str(first),
        "--updates", str(updates), "--rate", str(RATE),
    ]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout)


def latencies(receipts, began):
    """Of updates 1 to len(began), as watch_load computes them."""
    times, newest = [], 0
    for number, received in receipts:
        times += [(received - began[each - 1]) / 1e6 for each in range(newest + 1, number + 1)]
        newest = max(newest, number)
    times.sort()
    return {
        "received": len(receipts),
        "newest": newest,
        "lost": len(began) - newest,
        "all_median_ms": quantile(times, 0.5) if times else None,
        "all_p99_ms": quantile(times, 0.99) if times else None,
        "all_quantiles": {"parts": PARTS, "ms": [quantile(times, part) for part in PARTS] if times else []},
    }


def quantile(ascending, part):
    """As watch_load computes it."""
    return ascending[int(part * (len(ascending) - 1) + 0.5)]
