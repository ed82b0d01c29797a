"""A scrape of a server's metrics."""

import re
import urllib.request

from harness import DEADLINE


class Metrics:
    """What the server tells now. It must have been started with metrics_listen."""

    def __init__(self, server):
        address = server.await_log("ready")["metrics"].split()[0]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=DEADLINE) as answer:
            self._text = answer.read().decode()

    def value(self, series):
        """By its name and labels as they are written; None if it is not there."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self._text, re.MULTILINE)
        return float(found[1]) if found else None

    def of(self, source, name):
        return self.value(f'confstream_source_{name}{{source="{source}"}}')

    def states(self, source):
        """The states that the source is in; one, it should be."""
        return set(re.findall(rf'^confstream_source_state{{source="{source}",state="(\w+)"}} 1$', self._text, re.MULTILINE))

    def sources(self):
        return set(re.findall(r'source="([^"]*)"', self._text))

    def types(self, prefix):
        """The type of each metric whose name begins with `prefix`."""
        return dict(re.findall(rf"^# TYPE ({prefix}\w+) (\w+)$", self._text, re.MULTILINE))

    def labels(self, name, label):
        """The values that `label` has among the series of a metric."""
        return set(re.findall(rf'^{name}{{.*?\b{label}="([^"]*)"', self._text, re.MULTILINE))
