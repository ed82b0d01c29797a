#!/usr/bin/python3
"""Tests of the suite: a right client passes every scenario, and each scenario fails with the faults that it is to
catch.
"""

import os
import re
import sys
import unittest

import drivers
import run
import story

JOBS = 10 * (os.cpu_count() or 1)


def _registry(fault=""):
    program, *rest = drivers.command_of(drivers.REFERENCE)
    return {"reference": ["/usr/bin/env", f"CONFORMANCE_FAULT={fault}", program, *rest]}


def _play(pairs):
    """(scenario, fault) -> Result. No fault is the empty one. Faults do not wait for long: what is right comes soon."""
    results = {}
    context = run.multiprocessing.get_context("spawn")
    with run.concurrent.futures.ProcessPoolExecutor(JOBS, mp_context=context) as pool:
        for apart in (True, False):
            futures = {
                (scenario.name, fault): pool.submit(run.play, scenario, "reference", _registry(fault), 6.0 if fault else story.DEADLINE)
                for scenario, fault in pairs
                if scenario.apart is apart
            }
            for key, future in futures.items():
                results[key] = future.result()
    return results


class SuiteTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scenarios = story.scenarios_in(run.SCENARIOS)
        cls.results = _play([(scenario, fault) for scenario in cls.scenarios for fault in ("", *scenario.caught)])

    def test_every_promise_is_checked(self):
        checked = {promise for scenario in self.scenarios for promise in scenario.promises}
        self.assertEqual(checked, set(range(1, 13)))

    def test_every_scenario_names_a_fault_and_every_fault_is_named(self):
        with open(os.path.join(drivers.HERE, "reference.py"), encoding="utf-8") as file:
            text = file.read()
        faults = set(re.findall(r'wrong\("([a-z0-9-]+)"\)', text)) | set(
            re.findall(r'^ +\("([a-z-]+-is-fatal|gives-up)",', text, re.M)
        )
        named = set()
        for scenario in self.scenarios:
            self.assertTrue(scenario.caught, scenario.name)
            named |= set(scenario.caught)
        self.assertEqual(faults, named)

    def test_a_right_client_passes_all(self):
        failed = {name: result.problem for (name, fault), result in self.results.items() if not fault and result.problem}
        self.assertEqual(failed, {})

    def test_each_fault_is_caught_by_the_scenarios_that_are_to_catch_it(self):
        results = {key: result for key, result in self.results.items() if key[1]}
        for (scenario, fault), result in sorted(results.items()):
            print(f"{result.seconds:5.1f} s {scenario} with {fault}: {result.problem[:200]}", flush=True)
        missed = [key for key, result in results.items() if not result.problem]
        mistakes = {key: result.problem for key, result in results.items() if "Traceback" in result.problem}
        # A driver that did not start in time shows nothing.
        unfound = [
            (scenario, fault)
            for (scenario, fault), result in results.items()
            if result.problem.endswith("`{stream: none}`: the client opens no stream")
            and fault not in ("no-ipv6", "no-unix-sockets")
        ]
        self.assertEqual(missed, [])
        self.assertEqual(unfound, [])
        self.assertEqual(mistakes, {})


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
