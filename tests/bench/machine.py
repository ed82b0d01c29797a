"""What else the machine does during a measurement: whoever reads the figures is to know."""

import os
import resource
import time


class Others:
    """Measures, for the length of a `with` block, how many processors were used by others than this process and those
    that it started and that have ended within the block: `cores`. As watch_load does for its runs."""

    cores = None

    def __enter__(self):
        self._before = _now()
        return self

    def __exit__(self, *_):
        seconds, busy, own = (after - before for after, before in zip(_now(), self._before))
        self.cores = max(0.0, busy - own) / seconds


def busy_ticks(stat):
    """Of all processors, by the first line of /proc/stat: cpu user nice system idle iowait irq softirq."""
    fields = stat.split()
    return sum(int(fields[i]) for i in (1, 2, 3, 6, 7))


def _now():
    with open("/proc/stat", encoding="ascii") as file:
        busy = busy_ticks(file.readline()) / os.sysconf("SC_CLK_TCK")
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.monotonic(), busy, sum(each.ru_utime + each.ru_stime for each in usage)
