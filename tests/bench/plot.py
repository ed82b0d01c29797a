#!/usr/bin/python3
"""Draws the figures of a run as SVG: run.py --keep calls it; by hand: plot.py RUN.json DIRECTORY.

What a run has not measured is not drawn.
"""

import json
import os
import statistics
import sys

from drawing import LINE, TEXT, Drawing, LogScale, Scale
from report import number

CONFSTREAM, ETCD, BARE, KOANF = "#16998a", "#cf7a2e", "#8b93a0", "#a06fbf"
MISSED = "#d9503f"
SERVERS = {  # as a run names them: what the plots call them, and their colour
    "confstream": ("confstream", CONFSTREAM),
    "etcd": ("etcd", ETCD),
    "callback": ("bare, callbacks", BARE),
    "queue": ("bare, queue", BARE),
}
WIDTH = 840
MIB = 1 << 20


def write_all(run, directory):
    """Writes a file for each plot that there are figures for, and returns their names."""
    written = []
    for name, draw in PLOTS.items():
        drawing = draw(run)
        if drawing is None:
            continue
        with open(os.path.join(directory, f"{name}.svg"), "w", encoding="utf-8") as file:
            file.write(drawing.as_svg())
        written.append(name)
    return written


# Of what a budget allows, in percent; a bar that leads further is cut off, and its figure tells.
MOST_PERCENT = 150
VERDICTS = {  # what they mean, colour and opacity
    "met": ("within the budget", CONFSTREAM, 1.0),
    "met: bare": ("within 1.1 × the bare server", CONFSTREAM, 0.45),
    "missed": ("a prize not won", ETCD, 1.0),
    "MISSED": ("missed", MISSED, 1.0),
}


def budgets(run):
    """Every figure as a part of its budget."""
    groups = {}
    for row in run["rows"]:
        groups.setdefault(row["benchmark"], []).append(row)
    if not groups:
        return None
    line, head = 18, 30
    height = 26 + sum(head + line * len(group) for group in groups.values()) + 24
    drawing = Drawing("What was measured, in percent of its budget", WIDTH, height)
    scale = Scale(MOST_PERCENT, 205, 580, ticks=3)
    x = scale(0)
    for verdict, (meaning, colour, opacity) in VERDICTS.items():
        if any(row["verdict"] == verdict for row in run["rows"]):
            drawing.bar(x, 4, 12, 10, colour, opacity)
            drawing.text(x + 18, 13, meaning)
            x += 44 + 6 * len(meaning)
    y = 26
    for benchmark, group in groups.items():
        drawing.text(0, y + 18, benchmark, bold=True)
        y += head
        for row in group:
            drawing.text(195, y + 12, row["what"], "end")
            _budget_bar(drawing, scale, y, line, row)
            drawing.text(596, y + 12, _against(row))
            y += line
        # Between the names of the groups.
        for tick in scale.ticks:
            drawing.line(scale(tick), y - line * len(group) - 3, scale(tick), y)
        drawing.line(scale(100), y - line * len(group) - 3, scale(100), y, TEXT, 2)
    for tick in scale.ticks:
        drawing.text(scale(tick), height - 6, "budget" if tick == 100 else f"{tick:.0f} %", "middle", bold=tick == 100)
    return drawing


def _budget_bar(drawing, scale, y, line, row):
    percent = 100 * row["ratio"] / row["budget"]
    shown = min(percent, MOST_PERCENT)
    _, colour, opacity = VERDICTS[row["verdict"]]
    drawing.bar(scale(0), y + 2, scale(shown) - scale(0), line - 5, colour, opacity)
    if percent > MOST_PERCENT:
        drawing.text(scale(shown) + 4, y + 12, "»", fill=colour, bold=True)


def _against(row):
    prize = " (prize)" if row["prize"] else ""
    if row["peer_name"] == "budget":
        median = number(statistics.median(row["confstream"]))
        return f"{median} of {number(statistics.median(row['peer']))} {row['unit']}{prize}"
    return f"{row['ratio']:.2f} of {row['budget']:.2f} × {row['peer_name']}{prize}"


def propagation(run):
    """Which part of the updates had arrived after which time."""
    found = run["raw"].get("propagation")
    if not found:
        return None
    names = {"confstream": ("confstream, over gRPC", CONFSTREAM), "viper": ("viper", ETCD), "koanf": ("koanf", KOANF)}
    curves = {name: curve for name in names if (curve := distribution(found[name]))}
    times = [time for curve in curves.values() for time, _ in curve]
    drawing = Drawing("From the swap of a volume to the program: part of the updates, by time", WIDTH, 300)
    across, up = LogScale(min(times), max(times), 60, 650), Scale(100, 250, 20)
    _grid(drawing, across, up, (60, 650), (250, 20), lambda tick: f"{tick:g} ms", lambda tick: f"{tick:.0f} %")
    drawing.text(355, 292, "time since the swap began", "middle")
    labels = []
    for name, curve in curves.items():
        label, colour = names[name]
        drawing.curve([(across(time), up(part)) for time, part in curve], colour, 2.5)
        labels.append([up(curve[-1][1]), label, colour, curve[-1][1]])
    labels.sort()
    y = 0.0
    for at, label, colour, part in labels:
        y = max(at + 4, y + 17)
        drawing.text(662, y, label if part >= 99.95 else f"{label}: lost {100 - part:.0f} %", fill=colour, bold=True)
    return drawing


def distribution(runs):
    """(time in ms, percent of the updates), medians over the runs. Updates that were lost never arrived."""
    runs = [each for each in runs if each["all_quantiles"]["ms"]]
    if not runs:
        return []
    times = [statistics.median(column) for column in zip(*(each["all_quantiles"]["ms"] for each in runs))]
    arrived = statistics.median(1 - each.get("lost", 0) / each["updates"] for each in runs)
    return [(time, 100 * arrived * part) for time, part in zip(times, runs[0]["all_quantiles"]["parts"])]


def fanout(run):
    """One update to many watchers: when the first, the median and the last of them had it."""
    cases = run["raw"].get("fanout")
    if not cases:
        return None
    drawing = Drawing("Fan-out: from publishing until the watchers had the update", WIDTH, 34 + 146 * len(cases))
    drawing.bar(140, 6, 40, 10, TEXT, 0.35)
    drawing.dot(154, 11, 4, TEXT)
    drawing.line(170, 5, 170, 17, TEXT, 2)
    drawing.text(188, 15, "from the first watcher to the last; the dot is the median, the stroke 99 %")
    y = 34
    for name, runs in cases.items():
        drawing.text(0, y + 14, name, bold=True)
        most = max(median_of(each, "last_ms") for each in runs.values())
        scale = Scale(most, 140, 740)
        _ruler(drawing, scale, y + 22, y + 110, lambda tick: f"{tick:g} ms")
        y += 22
        for server, (label, colour) in SERVERS.items():
            first, median, p99, last = (
                scale(median_of(runs[server], figure)) for figure in ("first_ms", "median_ms", "p99_ms", "last_ms")
            )
            drawing.text(130, y + 15, label, "end", colour, bold=server == "confstream")
            drawing.bar(first, y + 5, last - first, 12, colour, 0.35)
            drawing.line(p99, y + 4, p99, y + 18, colour, 2)
            drawing.dot(median, y + 11, 5, colour)
            drawing.text(last + 8, y + 15, f"{number(median_of(runs[server], 'last_ms'))} ms", fill=colour)
            y += 22
        y += 36
    return drawing


def cost(run):
    """What a server spends on a delivery, and on an idle watcher."""
    panels = [
        (f"CPU for a delivery: {name}", "us", {server: median_of(runs[server], "server_cpu_us_per_delivery")
                                               for server in SERVERS})
        for name, runs in run["raw"].get("fanout", {}).items()
    ]
    if idle := run["raw"].get("idle-memory"):
        memory = {server: median_of(idle[server], "idle_bytes_per_watcher") / 1024 for server in SERVERS}
        panels.append(("Memory for an idle watcher, a connection each", "KiB", memory))
    if not panels:
        return None
    drawing = Drawing("What a server spends on a delivery, and on an idle watcher", WIDTH, 118 * len(panels))
    y = 0
    for title, unit, values in panels:
        drawing.text(0, y + 14, title.replace("CPU", "CPU time"), bold=True)
        scale = Scale(max(values.values()), 140, 740)
        y += 20
        drawing.line(scale(0), y, scale(0), y + 84, TEXT)
        for server, (label, colour) in SERVERS.items():
            drawing.text(130, y + 14, label, "end", colour, bold=server == "confstream")
            drawing.bar(scale(0), y + 3, scale(values[server]) - scale(0), 15, colour)
            shown = f"{number(values[server])} {unit.replace('us', 'µs')}"
            drawing.text(scale(values[server]) + 8, y + 15, shown, fill=colour)
            y += 21
        y += 14
    return drawing


def history(run):
    """Publishing, starting and the disk, while versions grow more."""
    runs = run["raw"].get("history")
    if not runs:
        return None
    blocks = [  # of all runs: the same block of each
        list(of_runs) for of_runs in zip(*(each["blocks"] for each in runs))
    ]
    before = [of_runs[0]["versions_before"] for of_runs in blocks]
    after = [of_runs[0]["versions_before"] + of_runs[0]["versions"] for of_runs in blocks]
    panels = [
        ("to publish a version", "µs", after, [median_of(each, "append_median_us") for each in blocks]),
        ("to restore at the start", "ms", before, [median_of(each, "start_ms") for each in blocks]),
        ("on disk", "MiB", after, [median_of(each, "disk_bytes") / MIB for each in blocks]),
    ]
    drawing = Drawing("History: publishing, starting and disk, by the number of versions", WIDTH, 220)
    for i, (title, unit, versions, values) in enumerate(panels):
        left = 52 + 282 * i
        right = left + 200
        across, up = Scale(after[-1], left, right, ticks=2), Scale(max(values), 170, 30, ticks=4)
        drawing.text(left, 16, title, bold=True)
        _grid(drawing, across, up, (left, right), (170, 30), lambda tick: f"{tick:.0f}",
              lambda tick, unit=unit: f"{tick:g} {unit}" if tick else "0")
        drawing.text((left + right) / 2, 208, "versions", "middle")
        drawing.curve([(across(x), up(y)) for x, y in zip(versions, values)], CONFSTREAM, 2)
        for x, y in zip(versions, values):
            drawing.dot(across(x), up(y), 3, CONFSTREAM)
    return drawing


def median_of(runs, figure):
    return statistics.median(run[figure] for run in runs)


def _grid(drawing, across, up, sides, ends, name_x, name_y):
    """Lines at the ticks of both axes, and their names."""
    for tick in across.ticks:
        drawing.line(across(tick), ends[0], across(tick), ends[1])
        drawing.text(across(tick), ends[0] + 18, name_x(tick), "middle")
    for tick in up.ticks:
        drawing.line(sides[0], up(tick), sides[1], up(tick), LINE if tick else TEXT)
        drawing.text(sides[0] - 8, up(tick) + 4, name_y(tick), "end")


def _ruler(drawing, scale, top, bottom, name):
    for tick in scale.ticks:
        drawing.line(scale(tick), top, scale(tick), bottom, LINE if tick else TEXT)
        drawing.text(scale(tick), bottom + 15, name(tick), "middle", size=11)


PLOTS = {
    "budgets": budgets,
    "propagation": propagation,
    "fanout": fanout,
    "cost": cost,
    "history": history,
}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        write_all(json.load(source), sys.argv[2])
