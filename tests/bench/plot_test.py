"""The plots show what the figures say: lengths, places, and what is left out."""

import os
import tempfile
import unittest
from xml.etree import ElementTree

import plot
from drawing import LogScale, Scale

SVG = "{http://www.w3.org/2000/svg}"


def shapes(drawing, kind):
    return ElementTree.fromstring(drawing.as_svg()).iter(SVG + kind)


def bars_of(drawing, colour):
    return [float(each.get("width")) for each in shapes(drawing, "rect") if each.get("fill") == colour]


def words(drawing):
    return [each.text for each in shapes(drawing, "text")]


def budget_row(ratio, budget, verdict="met", **others):
    return {
        "benchmark": "fan-out", "what": "last", "unit": "ms", "confstream": [ratio], "peer_name": "etcd", "peer": [1.0],
        "ratio": ratio, "budget": budget, "verdict": verdict, "prize": False, **others,
    }


class ScaleTest(unittest.TestCase):
    def test_values_are_in_proportion_from_zero(self):
        scale = Scale(100, 50, 250)
        self.assertEqual([scale(value) for value in (0, 50, 100)], [50, 150, 250])

    def test_ticks_are_round_few_and_reach_the_highest_value(self):
        for high in (0.0004, 0.3, 1, 7, 9.99, 10, 101, 54321):
            ticks = Scale(high, 0, 1).ticks
            self.assertEqual(ticks[0], 0)
            self.assertGreaterEqual(ticks[-1], high * (1 - 1e-9))
            self.assertLess(ticks[-2], high)
            self.assertLessEqual(len(ticks), 6)

    def test_it_may_lead_up(self):
        self.assertEqual(Scale(100, 250, 50)(25), 200)

    def test_nothing_but_zeros_has_a_scale(self):
        self.assertEqual(Scale(0, 10, 20)(0), 10)

    def test_equal_factors_are_equal_steps_on_a_log_scale(self):
        scale = LogScale(1.3, 70, 0, 200)
        self.assertEqual(scale.ticks, [1, 2, 5, 10, 20, 50, 100])
        self.assertAlmostEqual(scale(1), 0)
        self.assertAlmostEqual(scale(10), 100)
        self.assertAlmostEqual(scale(100), 200)

    def test_one_value_has_a_log_scale(self):
        self.assertEqual(LogScale(2, 2, 0, 100).ticks, [2, 5])


class BudgetsTest(unittest.TestCase):
    def test_a_bar_is_as_long_as_the_part_of_the_budget(self):
        drawing = plot.budgets({"rows": [budget_row(0.2, 0.4), budget_row(0.4, 0.4)]})
        _, half, whole = bars_of(drawing, plot.CONFSTREAM)  # the first one is the key's
        self.assertAlmostEqual(half, whole / 2, delta=0.1)
        begin = min(float(each.get("x")) for each in shapes(drawing, "rect"))
        strokes = {float(each.get("x1")) for each in shapes(drawing, "line") if each.get("stroke-width") == "2"}
        self.assertEqual(len(strokes), 1)
        self.assertAlmostEqual(begin + whole, strokes.pop(), delta=0.1)

    def test_a_bar_that_is_cut_off_says_so_and_has_its_figure(self):
        drawing = plot.budgets({"rows": [budget_row(9.0, 1.0, "MISSED"), budget_row(1.5, 1.0, "MISSED")]})
        _, cut, at_end = bars_of(drawing, plot.MISSED)
        self.assertEqual(cut, at_end)
        self.assertEqual(words(drawing).count("»"), 1)
        self.assertIn("9.00 of 1.00 × etcd", words(drawing))

    def test_a_budget_without_a_peer_shows_both_figures(self):
        row = budget_row(0.5, 1.0, peer_name="budget", confstream=[100.0], peer=[200.0])
        self.assertIn("100 of 200 ms", words(plot.budgets({"rows": [row]})))


class PropagationTest(unittest.TestCase):
    @staticmethod
    def run_of(ms, **others):
        return {"all_quantiles": {"parts": [0, 0.5, 1], "ms": ms}, "updates": 10, **others}

    def test_the_curve_is_the_median_of_the_runs(self):
        found = plot.distribution([self.run_of([1, 2, 3]), self.run_of([2, 3, 9]), self.run_of([3, 4, 10])])
        self.assertEqual(found, [(2, 0), (3, 50), (9, 100)])

    def test_who_lost_updates_does_not_reach_the_top(self):
        self.assertEqual(plot.distribution([self.run_of([1, 2, 3], lost=4)])[-1], (3, 60))

    def test_a_run_that_received_nothing_has_no_curve(self):
        self.assertEqual(plot.distribution([self.run_of([], lost=10)]), [])


class FanoutTest(unittest.TestCase):
    def setUp(self):
        figures = {
            "first_ms": 1.0, "median_ms": 20.0, "p99_ms": 30.0, "last_ms": 40.0, "server_cpu_us_per_delivery": 5.0,
        }
        runs = {server: [dict(figures)] for server in plot.SERVERS}
        runs["etcd"][0].update(last_ms=80.0, server_cpu_us_per_delivery=10.0)
        self.run_of_all = {"rows": [], "raw": {"fanout": {"a case": runs}}}

    def test_a_bar_leads_from_the_first_watcher_to_the_last(self):
        drawing = plot.fanout(self.run_of_all)
        (confstream,), (etcd,) = bars_of(drawing, plot.CONFSTREAM), bars_of(drawing, plot.ETCD)
        self.assertAlmostEqual(confstream / etcd, 39 / 79, places=2)
        self.assertIn("80 ms", words(drawing))

    def test_costs_are_in_proportion(self):
        drawing = plot.cost(self.run_of_all)
        (confstream,), (etcd,) = bars_of(drawing, plot.CONFSTREAM), bars_of(drawing, plot.ETCD)
        self.assertAlmostEqual(confstream / etcd, 0.5, places=2)

    def test_only_what_was_measured_is_written(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual(plot.write_all(self.run_of_all, directory), ["fanout", "cost"])
            self.assertEqual(sorted(os.listdir(directory)), ["cost.svg", "fanout.svg"])


class HistoryTest(unittest.TestCase):
    def test_time_stands_at_the_versions_that_it_is_of(self):
        blocks = [
            {
                "versions_before": before, "versions": 500, "append_median_us": 10.0, "start_ms": start,
                "disk_bytes": 1 << 20,
            }
            for before, start in ((0, 5.0), (500, 10.0))
        ]
        drawing = plot.history({"raw": {"history": [{"blocks": blocks}]}})
        publish, start, disk = (
            [tuple(map(float, point.split(","))) for point in each.get("points").split()]
            for each in shapes(drawing, "polyline")
        )
        self.assertEqual(publish[0][1], publish[1][1])  # flat
        self.assertLess(start[1][1], start[0][1])  # up is less
        # A start is with the versions before the block, the disk with those after it.
        width = publish[1][0] - publish[0][0]
        self.assertAlmostEqual(disk[1][0] - start[1][0], 282 + width, delta=0.2)


if __name__ == "__main__":
    unittest.main()
