"""What becomes of measured figures on the way to the table: a mistake here would be believed."""

import argparse
import contextlib
import io
import json
import math
import os
import re
import types
import unittest
from unittest import mock

import fanout
import history
import machine
import pieces
import propagation
import report
import run
import stalled
from report import Row

HERE = os.path.dirname(os.path.abspath(__file__))


def row(confstream, peer, budget, **others):
    return Row("benchmark", "what", "ms", confstream, "etcd", peer, budget, **others)


class RowTest(unittest.TestCase):
    def test_the_ratio_is_that_of_the_medians_and_not_the_median_of_ratios(self):
        self.assertEqual(row([1.0, 2.0, 90.0], [4.0, 1.0, 100.0], 1.0).ratio, 0.5)

    def test_a_budget_is_met_up_to_and_with_its_ratio(self):
        self.assertEqual(row([5.0], [10.0], 0.5).verdict, "met")
        self.assertEqual(row([5.1], [10.0], 0.5).verdict, "MISSED")
        self.assertEqual(row([5.1], [10.0], 0.5, prize=True).verdict, "missed")

    def test_no_budget_asks_for_less_than_what_the_bare_server_takes_and_a_tenth(self):
        self.assertEqual(row([110.0], [100.0], 0.5, bare=[100.0]).verdict, "met: bare")
        self.assertEqual(row([111.0], [100.0], 0.5, bare=[100.0]).verdict, "MISSED")

    def test_a_peer_that_took_nothing_measurable_is_not_beaten_by_it(self):
        self.assertEqual(row([1.0], [0.0], 1.0).verdict, "MISSED")

    def test_a_peer_that_lost_everything_is_beaten(self):
        self.assertEqual(row([1.0], [math.inf], 1.0).verdict, "met")

    def test_the_better_server_is_that_of_the_lower_median(self):
        runs = {"callback": [{"x": 1}, {"x": 9}, {"x": 9}], "queue": [{"x": 5}, {"x": 5}, {"x": 50}]}
        self.assertEqual(report.better(runs, ("callback", "queue"), "x"), [5, 5, 50])


class TableTest(unittest.TestCase):
    def test_budgets_missed_come_first(self):
        rows = [
            row([1.0], [2.0], 1.0), row([3.0], [2.0], 1.0, bare=[3.0]), row([3.0], [2.0], 1.0, prize=True),
            row([3.0], [2.0], 1.0),
        ]
        verdicts = [line[:9].strip() for line in report.table(rows).splitlines()[1:]]
        self.assertEqual(verdicts, ["MISSED", "missed", "met: bare", "met"])

    def test_a_line_has_median_and_spread_ratio_and_budget(self):
        line = report.table([row([30.0, 10.0, 20.0], [40.0, 40.0, 41.0], 0.33)]).splitlines()[1]
        self.assertEqual(
            re.split("  +", line),
            ["MISSED", "benchmark", "what", "20 (10-30) ms", "etcd", "40 (40-41)", "0.50", "0.33"],
        )


class PropagationTest(unittest.TestCase):
    def test_an_update_that_was_skipped_is_charged_until_a_later_one_arrives(self):
        began = [0, 1_000_000, 2_000_000, 3_000_000]  # updates 1 to 4
        found = propagation.latencies([[1, 500_000], [3, 2_500_000]], began)
        # 0.5 ms; update 2, which came with 3, 1.5 ms; 0.5 ms.
        self.assertEqual(found["all_median_ms"], 0.5)
        self.assertEqual(found["all_p99_ms"], 1.5)
        self.assertEqual((found["received"], found["newest"], found["lost"]), (2, 3, 1))

    def test_an_older_update_that_comes_late_counts_for_nothing(self):
        found = propagation.latencies([[2, 3_000_000], [1, 8_000_000], [3, 9_000_000]], [0, 1_000_000, 7_000_000])
        self.assertEqual(found["all_quantiles"]["ms"][-1], 3.0)

    def test_who_received_nothing_has_no_times(self):
        found = propagation.latencies([], [0, 1])
        self.assertEqual((found["all_median_ms"], found["lost"], found["all_quantiles"]["ms"]), (None, 2, []))

    def test_quantiles_are_those_of_the_ranks(self):
        ascending = list(range(101))
        found = [propagation.quantile(ascending, part) for part in (0, 0.5, 0.99, 1)]
        self.assertEqual(found, [0, 50, 99, 100])

    def test_watch_load_tells_the_same_parts(self):
        with open(os.path.join(HERE, "watch_load.cc"), encoding="utf-8") as source:
            parts = re.search(r"kParts\[\] = \{([^}]*)\}", source.read())[1]
        self.assertEqual([float(part) for part in parts.split(",")], propagation.PARTS)


class OtherFiguresTest(unittest.TestCase):
    def test_memory_that_grows_shows_between_the_second_and_the_last_tenth(self):
        mib = 1 << 20
        # A first tenth that is still filling up says nothing.
        self.assertEqual(stalled.ends_of([0] * 10 + [3 * mib] * 80 + [6 * mib] * 10), (3.0, 6.0))

    def test_disk_of_a_version_leaves_out_the_first_block(self):
        blocks = [{"versions": 1000, "disk_bytes": size} for size in (900_000, 1_900_000, 3_900_000)]
        self.assertEqual(history.growth(blocks), 1500.0)

    def test_pieces_are_told_in_nanoseconds_and_without_aggregates(self):
        def each(**values):
            return {"run_type": "iteration", "run_name": "digest", "cpu_time": 2.0, "time_unit": "us", **values}

        found = pieces.figures([each(), each(cpu_time=3.0, bytes_per_second=7.0), each(run_type="aggregate")])
        self.assertEqual([run["cpu_ns"] for run in found["digest"]], [2000.0, 3000.0])
        self.assertIn("3 us", pieces.table({"pieces": {"digest": found["digest"][1:]}}))

    def test_a_piece_that_went_wrong_is_an_error(self):
        broken = {
            "run_type": "iteration", "run_name": "read", "cpu_time": 0.0, "time_unit": "ns", "error_occurred": True,
            "error_message": "nothing was read",
        }
        with self.assertRaisesRegex(RuntimeError, "read: nothing was read"):
            pieces.figures([broken])

    def test_pieces_stand_in_the_order_of_their_sizes(self):
        names = ["read/files:1000", "digest", "read/files:16"]
        self.assertEqual(sorted(names, key=pieces.in_order), ["digest", "read/files:16", "read/files:1000"])


class NoiseTest(unittest.TestCase):
    def test_time_is_busy_that_is_not_idle_or_waiting(self):
        self.assertEqual(machine.busy_ticks("cpu  1 20 300 5000 60000 4000 50000 7 7 7\n"), 54321)

    def test_what_the_block_itself_uses_is_not_others(self):
        moments = iter([(10.0, 100.0, 5.0), (12.0, 103.0, 7.0)])
        with mock.patch.object(machine, "_now", lambda: next(moments)), machine.Others() as others:
            pass
        self.assertEqual(others.cores, 0.5)

    def test_runs_without_updates_say_nothing_of_it(self):
        raw = {
            "idle": [{"other_cpu_cores": 9.0, "deliveries": 0}],
            "fanout": {"a": [{"other_cpu_cores": 0.1, "deliveries": 5}, {"other_cpu_cores": 0.3, "deliveries": 5}]},
            "history": [{"other_cpu_cores": 0.4}],
        }
        self.assertEqual(run.noise(raw), "median 0.30, at most 0.40")
        self.assertEqual(run.noise({"idle": raw["idle"]}), "not measured")


class FanoutTest(unittest.TestCase):
    def test_every_budget_names_a_figure_and_its_servers_in_the_right_places(self):
        figures = {"confstream": 1.0, "etcd": 4.0, "callback": 3.0, "queue": 2.0}
        names = {figure for case in fanout.CASES for _, figure, *_ in case.budgets}

        def rounds(_context, servers, **_load):
            return {server: [dict.fromkeys(names, figures[server])] for server in servers}

        with mock.patch.object(fanout.watching, "run_rounds", rounds), contextlib.redirect_stderr(io.StringIO()):
            rows, _ = fanout.run(types.SimpleNamespace(quick=True))
        self.assertEqual({(each.ratio, each.bare_ratio) for each in rows}, {(0.25, 0.5)})


class KeptRunTest(unittest.TestCase):
    def test_the_command_has_no_path_of_this_machine(self):
        arguments = argparse.Namespace(
            names=["fanout"], quick=False, rounds=3, programs="/a/b", tmpfs="/c", json="/d/e", keep="/f"
        )
        self.assertEqual(run.command(arguments), "./dev bench fanout --rounds 3")

    def test_lists_of_numbers_are_on_one_line_and_everything_is_as_it_was(self):
        raw = {"one": {"runs": [{"ms": [1.5, 2, 3], "of": ["a  b"], "none": []}, {"ms": [4.0]}]}}
        text = run.as_json([row([1.0, 2.0], [2.0], 1.0)], raw, {"load": (1, 2)})
        self.assertIn('"ms": [1.5, 2, 3]', text)
        self.assertEqual(json.loads(text)["raw"], raw)
        self.assertEqual(json.loads(text)["rows"][0]["verdict"], "met")


if __name__ == "__main__":
    unittest.main()
