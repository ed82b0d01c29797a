"""What a soak prints in the end."""

import statistics

import flatness


def print_report(soak, broken):
    counts = soak.recorder.counts
    print(f"actions      {sum(soak.actions.values())} of {len(soak.actions)} kinds, {counts['ServerStarted']} servers")
    for name, count in sorted(soak.actions.items()):
        print(f"             {count:6} {name}")
    names = ("Published", "StreamOpened", "Received", "Reported", "RollbackEnded", "WatcherSeen")
    print("seen         " + ", ".join(f"{counts.get(name, 0)} {name}" for name in names))
    if soak.settling:
        median, most = statistics.median(soak.settling), max(soak.settling)
        print(f"quiet        {len(soak.settling)} times, for {median:.1f} s (median), {most:.1f} s (most), until all had arrived")
    last = [sample for sample in soak.samples if sample.run == soak.samples[-1].run]
    for name in flatness.TOLERANCES:
        if len(last) >= flatness.LEAST_SAMPLES:
            before, after = flatness.thirds(last, name)
            print(f"{name:14} {before:.0f} -> {after:.0f} (medians of the second and the last third of {len(last)})")
        elif last:
            print(f"{name:14} {getattr(last[-1], name)}; {len(last)} samples of one server are too few to compare")
    print(f"guarantees   {len(broken)} broken" if broken else "guarantees   none broken")
    # The first of each number: what follows often follows from it.
    for each in {each.guarantee: each for each in reversed(broken)}.values():
        print(each)
