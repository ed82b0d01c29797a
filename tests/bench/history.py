"""A long history: what it costs to publish, to start, and on disk, as versions grow more.

`history_bench` publishes versions of 100 files of 1 KiB, one of which changes each time, and confstreamd then starts
with what it has recorded.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import machine
from report import Row

VERSIONS = 10000
BLOCK = 1000
# The time of a publication is a median over a block, but a block's median wanders by a tenth from run to run: cache,
# allocator, and the recorder, which works beside it. Anything that grew with history would be ten times as much.
FLAT = 1.2
START_MS = 200.0
# Contents of 1 KiB fill SQLite's pages of 4 KiB three at a time, so a third is lost, and each version has a row, and
# its file one, with their indices. A copy of all files would be a hundred times as much.
DISK = 2.0
DEADLINE = 300.0


def run(context):
    """Returns the rows, and the results that they are made of."""
    versions = 2 * BLOCK if context.quick else VERSIONS
    print(f"== history of {versions} versions", file=sys.stderr)
    results = []
    for _ in range(context.rounds):
        with machine.Others() as others:
            result = run_once(context, versions)
        results.append({**result, "other_cpu_cores": others.cores})
        show(results[-1])
    blocks = [result["blocks"] for result in results]
    benchmark = f"history of {versions} versions"
    rows = [
        Row(
            benchmark, f"to publish, last {BLOCK}", "us", [each[-1]["append_median_us"] for each in blocks],
            f"first {BLOCK}", [each[0]["append_median_us"] for each in blocks], FLAT,
        ),
        Row(benchmark, "start of confstreamd", "ms", [each["server_start_ms"] for each in results], "budget",
            [START_MS], 1.0),
        Row(
            benchmark, "disk for a version", "bytes", [growth(each) for each in blocks], "changed content",
            [result["file_bytes"] for result in results], DISK,
        ),
    ]
    return rows, results


def run_once(context, versions):
    with tempfile.TemporaryDirectory(prefix="confstream-bench.", dir=context.tmpfs) as directory:
        state = os.path.join(directory, "state")
        os.mkdir(state)
        command = [
            os.path.join(context.programs, "history_bench"), state, "--versions", str(versions),
            "--blocks", str(versions // BLOCK),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE)
        result = json.loads(done.stdout)
        if not all(block["recorded"] for block in result["blocks"]):
            raise RuntimeError("history_bench: versions were not recorded, so the figures are about something else")
        return {**result, "server_start_ms": start_ms(context, directory, state, versions)}


def show(result):
    first, last = result["blocks"][0], result["blocks"][-1]
    print(
        f"   publish {first['append_median_us']:.3g} to {last['append_median_us']:.3g} us, "
        f"start {result['server_start_ms']:.3g} ms, disk {last['disk_bytes'] / (1 << 20):.3g} MiB, "
        f"other_cpu_cores {result['other_cpu_cores']:.2g}",
        file=sys.stderr, flush=True,
    )


def start_ms(context, directory, state, versions):
    """From the start of confstreamd's process until it is ready, with the history in `state`."""
    config = os.path.join(directory, "confstream.json")  # which is YAML, too
    source = {"path": os.path.join(directory, "volume"), "history": {"max_versions": versions + 1, "max_size": "1GiB"}}
    with open(config, "w", encoding="utf-8") as file:
        json.dump({"state_dir": state, "sources": {"bench": source}}, file)
    command = [
        os.path.join(context.programs, "confstreamd"), "--config", config, "--listen", "127.0.0.1:0",
        "--log-format", "json",
    ]
    began = time.monotonic()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said = []
        try:
            for line in process.stdout:
                said.append(json.loads(line))
                if said[-1].get("message") == "ready":
                    took = 1000 * (time.monotonic() - began)
                    break
            else:
                raise RuntimeError(f"confstreamd did not start; its last words: {said[-3:]}")
        finally:
            process.kill()
    return took


def growth(blocks):
    """Bytes on disk for each version that came after the first block, which has all files to record."""
    versions = sum(block["versions"] for block in blocks[1:])
    return (blocks[-1]["disk_bytes"] - blocks[0]["disk_bytes"]) / versions
