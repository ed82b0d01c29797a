"""What a benchmark found, beside its budget; as a text table."""

import dataclasses
import statistics

# No budget asks for less than this times what the better bare server took in the same run (performance.md).
BARE_ALLOWANCE = 1.1


@dataclasses.dataclass
class Row:
    """One budget: confstream's figures, one for each round, against those of a peer in the same rounds."""

    benchmark: str
    what: str
    unit: str
    confstream: list
    peer_name: str
    peer: list
    budget: float  # the ratio of the medians is to be at most this
    bare: list = None  # the better bare server; None: it sets no limit here
    prize: bool = False  # wished for, not promised

    @property
    def ratio(self):
        return ratio(self.confstream, self.peer)

    @property
    def bare_ratio(self):
        return None if self.bare is None else ratio(self.confstream, self.bare)

    @property
    def verdict(self):
        if self.ratio <= self.budget:
            return "met"
        if self.bare_ratio is not None and self.bare_ratio <= BARE_ALLOWANCE:
            return "met: bare"
        return "missed" if self.prize else "MISSED"

    def as_dict(self):
        return {**dataclasses.asdict(self), "ratio": self.ratio, "bare_ratio": self.bare_ratio, "verdict": self.verdict}


def ratio(these, those):
    """Of the medians; a peer that took nothing measurable cannot be met."""
    below = statistics.median(those)
    return statistics.median(these) / below if below else float("inf")


def better(runs, servers, figure):
    """The figures of that one of `servers` whose median is lower; `runs` has a list of results for each server."""
    series = [[run[figure] for run in runs[server]] for server in servers]
    return min(series, key=statistics.median)


def table(rows):
    """Budgets missed come first."""
    order = {"MISSED": 0, "missed": 1, "met: bare": 2, "met": 3}
    lines = [["", "benchmark", "what", "confstream", "peer", "", "ratio", "budget", "bare", "x bare"]]
    for row in sorted(rows, key=lambda row: order[row.verdict]):
        lines.append(
            [
                row.verdict,
                row.benchmark,
                row.what,
                f"{_series(row.confstream)} {row.unit}",
                row.peer_name,
                _series(row.peer),
                f"{row.ratio:.2f}",
                f"{row.budget:.2f}{' (prize)' if row.prize else ''}",
                "" if row.bare is None else _series(row.bare),
                "" if row.bare is None else f"{row.bare_ratio:.2f}",
            ]
        )
    return columns(lines)


def columns(lines):
    """Lists of words as lines of text, the words below each other."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip() for line in lines)


def _series(values):
    """Median and spread."""
    text = number(statistics.median(values))
    return text if len(values) == 1 else f"{text} ({number(min(values))}-{number(max(values))})"


def number(value):
    """Three digits are all that such figures have."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
