"""Volumes that are swapped much faster than anyone reads them."""

import os
import threading
import time
import unittest

from harness import EndToEndTest
from volume import Volume, number_of, start_storm, storm


class SwapTest(EndToEndTest):
    def check_storm(self, swaps, generation="current"):
        """Swaps a watched volume so often, and checks what came of it."""
        volume = self.path("volume")
        storm(volume, first=0, swaps=1, generation=generation)
        server = self.serve()
        stream = self.watch(server)
        first = stream.next_version()
        self.assertEqual(number_of(first), 0)
        storm(volume, first=1, swaps=swaps, generation=generation)
        last = stream.until(lambda event: number_of(event) == swaps)
        self.check_history(stream, first, last)
        storm(volume, first=swaps + 1, swaps=1, generation=generation)
        after = stream.next_version()
        self.assertEqual((number_of(after), after.version), (swaps + 1, last.version + 1))
        print(f"{swaps} swaps, {last.version} versions, {len(stream.snapshots())} received")
        self.assertEqual([line for line in server.log() if line.get("level") in ("warning", "error")], [])

    def check_history(self, stream, first, last):
        snapshots = stream.snapshots()
        numbers = [number_of(event) for event in snapshots]
        self.assertEqual(numbers, sorted(set(numbers)), "content goes back or comes twice")
        self.assertEqual(
            first.version + sum(1 + event.skipped_versions for event in snapshots[1:]),
            last.version,
            "received and skipped versions do not add up",
        )

    def test_ten_thousand_swaps_1_ms_apart_are_never_torn_and_the_last_arrives(self):
        self.check_storm(10000)

    def test_swaps_of_older_kubelets_whose_links_dangle_are_never_torn_and_make_no_error(self):
        self.check_storm(1500, "older")

    def test_swaps_of_the_oldest_kubelets_are_never_torn(self):
        self.check_storm(1500, "oldest")

    def test_a_queue_that_overflows_while_the_server_is_stopped_loses_no_change(self):
        with open("/proc/sys/fs/inotify/max_queued_events", encoding="utf-8") as file:
            swaps = int(file.read()) // 4 + 1000  # each makes five events in the volume's directory
        volume = self.path("volume")
        storm(volume, first=0, swaps=1)
        server = self.serve()
        stream = self.watch(server)
        first = stream.next_version()
        busy = start_storm(volume, first=1, swaps=200)
        stream.until(lambda event: number_of(event) >= 20)
        server.pause()
        self.assertEqual(busy.wait(), 0)
        storm(volume, first=201, swaps=swaps, interval="0")
        server.go_on()
        last = stream.until(lambda event: number_of(event) == 200 + swaps)
        self.check_history(stream, first, last)
        self.assertEqual(len(server.log("events lost, looking at every source again")), 1)
        storm(volume, first=201 + swaps, swaps=1)
        after = stream.next_version()
        self.assertEqual((number_of(after), after.version), (201 + swaps, last.version + 1))

    def test_a_queue_that_overflows_loses_no_change_of_plain_files(self):
        with open("/proc/sys/fs/inotify/max_queued_events", encoding="utf-8") as file:
            events = int(file.read())
        os.mkdir(self.path("volume"))
        for name in ("a", "b"):
            self.rewrite(name, 0)
        server = self.serve()
        stream = self.watch(server)
        self.assertEqual(number_of(stream.next_version()), 0)
        server.pause()
        for number in range(1, events // 4 + 2):  # each makes six events; equal ones in a row are merged
            for name in ("a", "b"):
                self.rewrite(name, number)
        server.go_on()
        self.assertEqual(number_of(stream.next_version()), number)
        self.assertEqual(len(server.log("events lost, looking at every source again")), 1)
        for name in ("a", "b"):
            self.rewrite(name, number + 1)
        self.assertEqual(number_of(stream.next_version()), number + 1)

    def rewrite(self, name, number):
        with open(self.path("volume", name), "w", encoding="utf-8") as file:
            file.write(f"number: {number}\n")

    def test_swaps_that_come_faster_than_a_large_tree_is_read_keep_versions_coming(self):
        padding = "".join(f"  key{i}: value\n" for i in range(2000))
        volume = Volume(self.path("volume"))

        def swap(number):
            volume.swap({f"{i}.yaml": f"number: {number}\nlist:\n{padding}" for i in range(40)})

        def whole_number(event):
            numbers = {content.split(b"\n", 1)[0] for content in event.files.values()}
            self.assertEqual((len(event.files), len(numbers)), (40, 1), f"torn: {numbers}")
            return int(numbers.pop().removeprefix(b"number: "))

        swap(0)
        server = self.serve()
        stream = self.watch(server)
        self.assertEqual(whole_number(stream.next_version()), 0)
        enough = threading.Event()
        swapped = []

        def swap_on():
            number = 0
            while not enough.is_set():
                number += 1
                swap(number)
                swapped.append(number)
                time.sleep(0.005)

        swapping = threading.Thread(target=swap_on)
        swapping.start()
        try:
            for _ in range(20):
                whole_number(stream.next_version())
        finally:
            enough.set()
            swapping.join()
        stream.until(lambda event: whole_number(event) == swapped[-1])
        print(f"{swapped[-1]} swaps, {len(stream.snapshots())} versions received")


if __name__ == "__main__":
    unittest.main()
