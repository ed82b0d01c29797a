"""How long clients wait before they come back: within the bounds, and not in step with each other.

The checks are of chance, but nobody will see a right client fail them: the odds are at each.
"""

import copy
import queue
import time

from server import Ending

FIRST_MS, MOST_MS = 100.0, 10_000.0
_DEADLINE = 90.0  # seconds; many programs start at once
_CLOCK_MS = 5.0  # what the roundings and clocks of two processes may make


class NotByChance(AssertionError):
    """A client waits as no client should."""


def bound_ms(failure):
    """The most that a client waits after so many failures in a row before this one."""
    return min(FIRST_MS * 2**failure, MOST_MS)


def check_pause(failure, retry_ms, before, after):
    """The client said `retry_ms` when the stream `before` ended, and then came with `after`. Returns its share of the
    bound.
    """
    bound = bound_ms(failure)
    paused = (after.arrived - before.ended) * 1000
    if not 0 <= retry_ms <= bound + 1:
        raise NotByChance(f"after {failure + 1} failures in a row it waits {retry_ms} ms, more than {bound}")
    if paused < retry_ms - _CLOCK_MS:
        raise NotByChance(f"it said that it would wait {retry_ms} ms, and came back after {paused:.1f}")
    return retry_ms / bound


def check_spread(shares, what):
    """`shares` are of [0, 1], and uniform if all is well."""
    # Six of them within a fiftieth by chance: 6 * 0.02^5, one in 50 millions; twenty: never.
    if max(shares) - min(shares) < 0.02:
        raise NotByChance(f"{what} are not by chance: {[round(share, 3) for share in shares]} of the bounds")


def check_crowd(shares):
    """Of many clients over some rounds: round -> shares."""
    for number, of_round in enumerate(shares):
        check_spread(of_round, f"the times of all clients in round {number + 1}")
    everything = [share for of_round in shares for share in of_round]
    # Full jitter begins at nothing. A hundred of them above three tenths: 0.7^100, 1 in 3 * 10^15.
    if min(everything) > 0.3 or max(everything) < 0.7:
        raise NotByChance(
            f"they wait from {min(everything):.2f} to {max(everything):.2f} of the bounds, not from 0 to 1"
        )


def _arrivals(server, count):
    """The next streams by the only glob of each."""
    streams, end = {}, time.monotonic() + _DEADLINE
    while len(streams) < count:
        try:
            stream = server.streams.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            raise NotByChance(f"{len(streams)} of {count} clients came in {_DEADLINE} s") from None
        streams[stream.request.path_globs[0]] = stream
    return streams


def play(starters, server, messages, rounds):
    """Starts a driver by each of `starters`, which watch client-0, client-1..., and takes their server away again and
    again.
    """
    drivers = []
    try:
        for start in starters:
            drivers.append(start("crowd"))
        streams = _arrivals(server, len(drivers))
        for stream in streams.values():
            for message in messages:
                stream.send(copy.deepcopy(message))
        for driver in drivers:
            driver.take("change", _DEADLINE)
        shares = []
        for number in range(rounds):
            for stream in streams.values():
                stream.end(Ending("UNAVAILABLE", "the server goes"))
            said = [driver.take("disconnected", _DEADLINE)["retry_ms"] for driver in drivers]
            before, streams = streams, _arrivals(server, len(drivers))
            shares.append(
                [
                    check_pause(number, said[n], before[f"client-{n}"], streams[f"client-{n}"])
                    for n in range(len(drivers))
                ]
            )
        check_crowd(shares)
        for driver in drivers:
            driver.write("close")
        for driver in drivers:
            driver.take("closed", _DEADLINE)
    finally:
        for driver in drivers:
            driver.kill()
