"""Plays a scenario: one story, told step by step, of what the server, the network and the client's driver do.

README.md lists the steps. Each step is a method of Story here, named as in the scenario.
"""

import itertools
import os
import queue
import re
import time

import yaml

import crowd
import disk_copy
from content import SOURCE, Versions, delta_messages, digest_of, header_of, patch, snapshot_messages, text_of, token_of
from driver import Driver
from network import Network
from protocol import pb
from server import Ending, ScriptedServer

DEADLINE = 30.0  # seconds; for what must happen, however busy the machine is
START = 4  # so many times that, for a driver to start and to open a stream
PROMPT = 10.0  # seconds; for what must happen at once
DEFAULT_HEARTBEAT = 30.0
_KEYS = {
    "shows",
    "promises",
    "caught",
    "flags",
    "server",
    "address",
    "versions",
    "each",
    "loose",
    "steps",
    "slow",
    "apart",
}
_NUMBER_OF_PROMISES = 12


class ScenarioError(Exception):
    """A scenario file is wrong."""


class Broken(AssertionError):
    """The client broke a promise."""


class Scenario:
    """A scenario file, or one variant of it. Immutable."""

    def __init__(self, name, text, values):
        self.name = name
        self.shows = _filled(text["shows"], values)
        self.promises = text["promises"]
        self.caught = text.get("caught", [])  # faults of reference.py that it must find
        self.flags = [text_of(flag) for flag in _filled(text.get("flags", []), values)]
        self.server = text.get("server", {})  # options of the scripted gRPC server
        self.address = text.get("address", "tcp")
        self.versions = _filled(text.get("versions", {}), values)
        self.loose = text.get("loose", [])  # events that may come or not
        self.steps = _filled(text["steps"], values)
        self.slow = text.get("slow", 0)  # about how many seconds it takes, if it is many: those begin first
        self.apart = text.get("apart", False)  # it runs before all that are not


def load(path):
    """The scenario in a file; those of it, if it has variants."""
    with open(path, encoding="utf-8") as file:
        text = yaml.safe_load(file)
    name = os.path.basename(path).removesuffix(".yaml")
    unknown = set(text) - _KEYS
    if unknown or not text.get("shows") or not text.get("steps"):
        raise ScenarioError(f"{name}: what is {unknown}? `shows` and `steps` are needed")
    if not text.get("promises") or not set(text["promises"]) <= set(range(1, _NUMBER_OF_PROMISES + 1)):
        raise ScenarioError(f"{name}: `promises` must name those of docs/clients.md that it checks")
    each = text.get("each")
    if each is None:
        scenarios = [Scenario(name, text, {})]
    else:
        ((variable, values),) = each.items()
        scenarios = [Scenario(f"{name}[{value}]", text, {variable: value}) for value in values]
    for scenario in scenarios:
        _check(scenario.name, scenario.steps)
    return scenarios


def _check(name, steps):
    for step in steps:
        kind, argument, nested = _parsed(step)
        if nested:
            _check(name, nested)
        elif not hasattr(Story, f"_do_{kind}"):
            raise ScenarioError(f"{name}: there is no step `{kind}`")


def _parsed(step):
    """(kind, argument, nested steps)."""
    if isinstance(step, str):
        return step, None, None
    if set(step) == {"for", "steps"}:
        return "for", step["for"], step["steps"]
    if len(step) != 1:
        raise ScenarioError(f"a step is a word, or one word and its argument: {step}")
    ((kind, argument),) = step.items()
    return kind, argument, None


def _filled(value, values):
    """`value` with $name replaced; a text that is just $name becomes the value itself."""
    if isinstance(value, dict):
        return {_filled(key, values): _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, str):
        for name, replacement in values.items():
            if value == f"${name}":
                return replacement
            value = value.replace(f"${name}", str(replacement))
    return value


def _needs(condition, text):
    if not condition:
        raise Broken(text)


def _argument(argument, main):
    """The argument of a step as a dict; a bare one is its `main` part."""
    return dict(argument) if isinstance(argument, dict) else {main: argument}


class Story:
    """One run of a scenario with one client. `registry` has the commands of all clients."""

    def __init__(self, scenario, client, registry, directory, deadline=DEADLINE):
        self._scenario = scenario
        self._deadline = deadline  # seconds; for what must happen
        self._client = client
        self._registry = registry
        self._directory = directory
        self._cache = os.path.join(directory, "cache")
        os.mkdir(self._cache)
        self._versions = Versions(scenario.versions)
        self._driver = None
        self._drivers = 0
        self._flags = []
        self._stream = None  # the one that the client has now, or had last
        self._answered = 0.0  # when current() last answered, by time.monotonic()
        self._held = None  # name of the version that the callback got last
        self._remembered = None
        self._begin = time.monotonic()
        self._step = "the beginning"
        self.transcript = []  # for people

    def play(self):
        """Raises AssertionError if the client does not do as the scenario says."""
        backend = os.path.join(self._directory, "back.sock")
        self._server = ScriptedServer(
            backend, [(f"grpc.{name}", value) for name, value in self._scenario.server.items()]
        )
        self._network = None
        try:
            self._network = Network(backend, self._directory, self._scenario.address)
            self._network.pass_all()
            self._play(self._scenario.steps)
            self._step = "the end"
            self._end()
        except AssertionError as error:
            raise Broken(f"at {self._step}: {error}") from error
        finally:
            if self._driver is not None:
                self._driver.kill()
            if self._network is not None:
                self._network.close()
            self._server.stop()

    # How it goes on.

    def _play(self, steps):
        for step in steps:
            kind, argument, nested = _parsed(step)
            if kind == "for":
                ((variable, values),) = argument.items()
                for value in values:
                    self._play(_filled(nested, {variable: value}))
                continue
            shown = step if isinstance(step, str) else yaml.safe_dump(step, default_flow_style=True, width=1000).strip()
            self._step = f"`{shown}`"
            self._note("step", shown)
            getattr(self, f"_do_{kind}")(argument)

    def _end(self):
        if self._driver is not None and self._driver.process.poll() is None:
            self._do_close(None)
        self._nothing_left()

    def _nothing_left(self):
        if self._driver is not None:
            left = [line for line in self._driver.left() if line["event"] not in self._scenario.loose]
            _needs(not left, f"the driver printed what it should not have: {left[:5]}")
        streams = self._server.streams.qsize()
        _needs(streams == 0, f"the client opened {streams} more streams than it should have")

    def _note(self, who, text):
        self.transcript.append(f"{time.monotonic() - self._begin:8.3f} {who:7} {text}")

    def _take(self, event, **keywords):
        keywords.setdefault("deadline", self._deadline)
        skip = [loose for loose in self._scenario.loose if loose != event]
        if event == "ended":
            skip.append("disconnected")
        _needs(self._driver is not None, "no driver was started")
        return self._driver.take(event, skip=skip, **keywords)

    # The client.

    def _do_start(self, argument):
        """Starts the driver. {flags: more of them; client: `next`, the next in the table}"""
        argument = argument or {}
        if self._driver is not None:
            self._driver.kill()
            self._nothing_left()
        client = self._client
        if argument.get("client") == "next":
            names = list(self._registry)
            client = names[(names.index(client) + 1) % len(names)]
        self._flags = self._scenario.flags + [text_of(flag) for flag in argument.get("flags", [])]
        self._flags = [flag.replace("$CACHE", self._cache) for flag in self._flags]
        self._drivers += 1
        self._streams = 0  # that this driver has opened
        self._held = None
        self._started = time.monotonic()
        self._driver = Driver(
            self._registry[client],
            ["--target", self._network.address, "--source", SOURCE, *self._flags],
            os.path.join(self._directory, f"driver-{self._drivers}.log"),
            lambda text: self._note("driver", text),
        )
        # From here on nothing depends on how long a virtual machine takes to start.
        self._driver.write("current")
        self._take("current", deadline=START * self._deadline)

    def _do_close(self, argument):
        """Asks the driver to close, and sees that it does so in time and leaves no stream.

        {by: `end of input`; within; after}
        """
        argument = argument or {}
        begin = time.monotonic()
        if argument.get("by") == "end of input":
            self._driver.end_input()
        else:
            self._driver.write("close")
        self._take("closed", deadline=argument.get("within", PROMPT))
        _needs(
            time.monotonic() - begin >= argument.get("after", 0),
            f"it closed after {time.monotonic() - begin:.3f} s",
        )
        code = self._driver.wait_exit(PROMPT)
        _needs(code == 0, f"the driver exited with {code}")
        self._see_no_stream()

    def _do_kill(self, _argument):
        """kill -9 of the driver."""
        self._driver.kill()
        self._see_no_stream()

    def _see_no_stream(self):
        if self._stream is not None:
            _needs(self._stream.over.wait(PROMPT), "the stream is still open after the client has ended")

    def _do_change(self, argument):
        """The callback gets a version.

        {version; old: the one before, or a list of those that it may be; cache; missing}
        """
        argument = _argument(argument, "version")
        line = self._take("change")
        self._check_change(line, argument["version"], argument)

    def _check_change(self, line, name, argument):
        version = self._versions[name]
        for field, wanted in (
            ("version", version.number),
            ("epoch", version.epoch),
            ("files", version.digests),
            ("view_digest", version.view_digest),
            ("from_cache", argument.get("cache", False)),
        ):
            _needs(line[field] == wanted, f"the change has {field} {line[field]}, not {wanted}")
        missing = argument.get("missing", [])
        _needs(sorted(line["missing_globs"]) == sorted(missing), f"its missing globs are {line['missing_globs']}")
        old = argument.get("old", self._held or "none")
        allowed = [None if item == "none" else int(item[1:]) for item in (old if isinstance(old, list) else [old])]
        _needs(line["old_version"] in allowed, f"its old version is {line['old_version']}, not one of {allowed}")
        self._held = name

    def _do_latest(self, argument):
        """The callback gets this version, and perhaps some of those before it.

        {version; waiting: the most changes that it gets after the last answer of `current`}
        """
        argument = _argument(argument, "version")
        last, late = self._versions[argument["version"]], 0
        while True:
            line = self._take("change")
            name = f"{last.name[0]}{line['version']}"
            before = int(self._held[1:]) if self._held and self._held[0] == last.name[0] else 0
            _needs(before < line["version"] <= last.number, f"version {line['version']} came after {before}")
            self._check_change(line, name, {})
            late += line["at"] > self._answered
            _needs(late <= argument.get("waiting", late), f"{late} changes waited")
            if name == last.name:
                break

    def _do_settled(self, argument):
        """wait() returns. {version; stale; after: seconds since the start, at least}"""
        argument = _argument(argument, "version")
        line = self._take("settled")
        number = int(argument["version"][1:])
        _needs(line["version"] == number, f"wait() returned version {line['version']}")
        _needs(line["stale"] is argument.get("stale", False), f"`stale` is {line['stale']} in {line}")
        self._check_waited(line, argument)

    def _do_wait_failed(self, argument):
        """wait() fails. {message: a regular expression; after}"""
        argument = _argument(argument, "message")
        line = self._take("wait_failed")
        _needs(re.search(argument["message"], line["message"]), f"wait() failed with `{line['message']}`")
        self._check_waited(line, argument)

    def _check_waited(self, line, argument):
        waited = line["at"] - self._started
        _needs(waited >= argument.get("after", 0), f"wait() took {waited:.3f} s only")

    def _do_not_yet(self, argument):
        """No such line has come so far."""
        early = [line for line in self._driver.left() if line["event"] == argument]
        _needs(not early, f"it came too early: {early}")

    def _do_current(self, argument):
        """current() answers.

        {version: or `none`; stale: true or false, otherwise either; at_last: ask until it is so, or for so many seconds}
        """
        argument = _argument(argument, "version")
        name = argument["version"]
        wanted = None if name == "none" else int(name[1:])
        patience = argument.get("at_last", 0)
        end = time.monotonic() + (self._deadline if patience is True else patience)
        while True:
            self._driver.write("current")
            line = self._take("current")
            self._answered = line["at"]
            right = line["version"] == wanted and line["stale"] == argument.get("stale", line["stale"])
            if right or time.monotonic() > end:
                break
            time.sleep(0.02)
        _needs(right, f"current() has version {line['version']} and stale {line['stale']}")

    def _do_stale(self, argument):
        """The copy is said to be stale. {after: seconds since the stream arrived, at least}"""
        line = self._take("stale")
        silence = line["at"] - (self._stream.arrived if self._stream else self._started)
        _needs(silence >= (argument or {}).get("after", 0), f"it was stale after {silence:.3f} s")

    def _do_fresh(self, _argument):
        """The copy is said to be stale no more."""
        self._take("fresh")

    def _do_disconnected(self, argument):
        """A stream ended unasked. {code; at_least, at_most: milliseconds until the next try}"""
        argument = _argument(argument, "code")
        line = self._take("disconnected")
        code = argument.get("code")
        _needs(code in (None, line["code"]), f"the stream ended with {line['code']}")
        least, most = argument.get("at_least", 0), argument.get("at_most", 60_000)
        _needs(least <= line["retry_ms"] <= most + 1, f"the next try is in {line['retry_ms']} ms")

    def _do_ended(self, argument):
        """The watch ends by itself with this code, and so does the driver. {code; stale: something is held}"""
        line = self._take("ended")
        _needs(line["code"] == argument["code"], f"the watch ended with {line['code']}")
        _needs(line["stale"] == argument["stale"], f"what is held is{'' if line['stale'] else ' not'} stale")
        code = self._driver.wait_exit(PROMPT)
        _needs(code == 0, f"the driver exited with {code}")

    def _do_log(self, argument):
        """The driver's log has this, a regular expression."""
        end = time.monotonic() + PROMPT
        while not re.search(argument, self._driver.log()):
            _needs(time.monotonic() < end, f"the log has no /{argument}/")
            time.sleep(0.02)

    # The server.

    def _do_stream(self, argument):
        """The client opens a stream.

        {token: name of a version, `none` or `any`; after, within: seconds since the last ended}
        """
        argument = _argument(argument, "token")
        try:
            # The first one takes as long as the driver takes to start.
            within = argument.get("within", self._deadline * (1 if self._streams else START))
            stream = self._server.streams.get(timeout=within)
        except queue.Empty:
            raise Broken("the client opens no stream") from None
        self._streams += 1
        self._note("client", f"Watch {stream.request}".replace("\n", " "))
        before, self._stream = self._stream, stream
        if before is not None and not argument.get("beside"):
            _needs(before.over.wait(PROMPT), "the client has two streams at once")
            if "after" in argument:
                pause = stream.arrived - before.ended
                _needs(pause >= argument["after"], f"the client came back after {pause:.3f} s")
        self._check_request(stream.request, argument.get("token", "none"))

    def _check_request(self, request, token):
        if token != "any":
            wanted = "" if token == "none" else token_of(token)
            _needs(request.resume_token == wanted, f"the token is `{request.resume_token}`, not `{wanted}`")
        flag = self._flag_values
        mode = {"delta": [pb.WATCH_MODE_DELTA], "snapshot": [pb.WATCH_MODE_SNAPSHOT, pb.WATCH_MODE_UNSPECIFIED]}
        heartbeat = request.heartbeat_interval.seconds + request.heartbeat_interval.nanos / 1e9
        if not request.HasField("heartbeat_interval"):
            heartbeat = DEFAULT_HEARTBEAT
        for name, got, allowed in (
            ("source", request.source, [SOURCE]),
            ("mode", request.mode, mode[(flag("--mode") or ["delta"])[-1]]),
            ("globs", sorted(set(request.path_globs)), [sorted(set(flag("--glob")))]),
            ("heartbeat", heartbeat, [float((flag("--heartbeat") or [DEFAULT_HEARTBEAT])[-1])]),
            ("every_version", request.every_version, [False]),
            ("until_in_sync", request.until_in_sync, [False]),
        ):
            _needs(got in allowed, f"the request has {name} {got}, not {allowed[0]}")
        _needs(request.client_id != "", "the request has no client_id")

    def _flag_values(self, name):
        return [self._flags[i + 1] for i, flag in enumerate(self._flags) if flag == name]

    def _do_send(self, argument):
        """Sends a version, or another message.

        {snapshot: name; delta: name, base: name; heartbeat: name; status: state, at: name; unknown: name}, and with it
        {reason; fragments: how many; first: only so many of them; missing: globs; patch: {field: value} for all messages,
        or {number of the fragment: {field: value}}; in_sync; unknown_fields; cut_after: bytes, then the connection breaks}
        """
        argument = _argument(argument, "snapshot")
        messages = self._messages(argument)
        changes = argument.get("patch", {})
        for number, message in enumerate(messages):
            patch(message, changes.get(number, {}))
            patch(message, {path: value for path, value in changes.items() if not isinstance(path, int)})
            if not message.more_fragments and "in_sync" in argument:
                message.in_sync = argument["in_sync"]
        if "cut_after" in argument:
            self._network.cut_after(argument["cut_after"])
        # A field and a case of `event` from a newer server: number 100, with text.
        extra = b"\xa2\x06\x05later" if argument.get("unknown_fields") or "unknown" in argument else b""
        for message in messages[: argument.get("first", len(messages))]:
            self._stream.send(message, extra)

    def _messages(self, argument):
        missing, fragments = argument.get("missing", []), argument.get("fragments")
        reason = getattr(pb, f"WATCH_REASON_{argument.get('reason', 'INITIAL' if self._fresh() else 'UPDATE')}")
        if "snapshot" in argument:
            return snapshot_messages(self._versions[argument["snapshot"]], reason, fragments, missing)
        if "delta" in argument:
            version, base = self._versions[argument["delta"]], self._versions[argument["base"]]
            return delta_messages(version, base, reason, fragments, missing)
        if "heartbeat" in argument:
            return [pb.WatchResponse(heartbeat=pb.Heartbeat(), header=header_of(argument["heartbeat"]), in_sync=True)]
        if "status" in argument:
            message = pb.WatchResponse(header=header_of(argument.get("at", "A0")), in_sync="at" in argument)
            message.source_status.state = getattr(pb, f"SOURCE_STATE_{argument['status']}")
            message.source_status.served_version = message.header.version
            if argument["status"] != "SERVING":
                message.source_status.violations.add(path="a", line=1, rule="yaml.syntax", message="it is no YAML")
                message.source_status.violations_total = 1
            return [message]
        if "unknown" in argument:
            return [pb.WatchResponse(header=header_of(argument["unknown"]), in_sync=True)]
        raise ScenarioError(f"what is to be sent? {argument}")

    def _fresh(self):
        return self._stream.request.resume_token == ""

    def _do_burst(self, argument):
        """Sends many versions at once.

        {from; to; delta: true for deltas, the first against `base`}
        """
        names = self._versions.between(argument["from"], argument["to"])
        base = self._versions[argument["base"]] if argument.get("delta") else None
        for name in names:
            version = self._versions[name]
            messages = (
                delta_messages(version, base, pb.WATCH_REASON_UPDATE)
                if base is not None
                else snapshot_messages(version, pb.WATCH_REASON_UPDATE)
            )
            base = version if base is not None else None
            for message in messages:
                self._stream.send(message)

    def _do_heartbeats(self, argument):
        """Sends heartbeats. {at: name; every: seconds; times}"""
        for _ in range(argument["times"]):
            time.sleep(argument["every"])
            self._do_send({"heartbeat": argument["at"]})

    def _do_garbage(self, argument):
        """Sends a message that does not parse: {text: a text that is no UTF-8; cut: it ends within a field}"""
        self._stream.send_bytes({"text": b"\x0a\x02\xff\xfe", "cut": b"\x0a\x64demo"}[argument])

    def _do_names(self, argument):
        """Sends fragments of a version that have nothing but 80 MiB of names of empty files, and no end."""
        for number in range(80):
            message = pb.WatchResponse(header=header_of(argument), more_fragments=True)
            message.snapshot.view_digest = "sha256:00"
            for file in range(256):
                path = f"{number:02}{file:03}" + "x" * 4091
                message.snapshot.files.add(path=path, digest=digest_of(b""))
            self._stream.send(message, b"")

    def _do_end(self, argument):
        """The server ends the stream. {code: also CANCEL, a reset; retry_after: seconds}"""
        argument = _argument(argument, "code")
        message = argument.get("message", f"the scenario ends it with {argument['code']}")
        self._stream.end(Ending(argument["code"], message, argument.get("retry_after")))

    def _do_gone(self, argument):
        """The client has given up its stream, or does so soon. {within}"""
        within = (argument or {}).get("within", self._deadline)
        _needs(self._stream.over.wait(within), "the client still has its stream")

    def _do_reports(self, argument):
        """By which code reports are answered from now on; HELD: not before the next such step."""
        self._server.answer_reports(argument)

    def _do_report(self, argument):
        """A report comes for the present stream. {version; outcome: APPLIED; reason: a regular expression}"""
        argument = _argument(argument, "version")
        outcome = getattr(pb, f"OUTCOME_{argument.get('outcome', 'APPLIED')}")
        end = time.monotonic() + self._deadline
        while True:
            try:
                report = self._server.reports.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise Broken("no such report") from None
            self._note("client", f"ReportOutcome {report.request}".replace("\n", " "))
            _needs(len(report.request.reason.encode()) <= 1024, "the reason is too long")
            if report.request.version == int(argument["version"][1:]) and (
                report.request.watch_id == self._stream.watch_id
            ):
                break
        _needs(report.request.outcome == outcome, f"the outcome is {pb.Outcome.Name(report.request.outcome)}")
        _needs(re.search(argument.get("reason", "^$"), report.request.reason), f"the reason: {report.request.reason}")

    def _do_unreported(self, argument):
        """No report about this version came that nobody waited for, up to now."""
        number = int(argument[1:])
        while not self._server.reports.empty():
            report = self._server.reports.get().request
            _needs(report.version != number, f"it was reported: {report}")

    # What is between them, and time.

    def _do_network(self, argument):
        """ok, refused, silent (connections stay open and nothing passes), or cut (all are reset, once)."""
        {
            "ok": self._network.pass_all,
            "refused": self._network.refuse,
            "silent": self._network.fall_silent,
            "cut": self._network.cut,
        }[argument]()

    def _do_wait(self, argument):
        """Lets time go by, in seconds: for what must not happen."""
        time.sleep(argument)

    # The copy on disk.

    def _copy_path(self):
        return disk_copy.path_of(self._cache, self._flag_values("--glob"))

    def _do_cache(self, argument):
        """The copy on disk is this version, or soon will be, as docs/clients.md has it; `none`: there is none."""
        end = time.monotonic() + PROMPT
        while True:
            if argument == "none":
                problem = f"there is {os.listdir(self._cache)}" if os.listdir(self._cache) else None
            else:
                problem = disk_copy.problem_of(self._copy_path(), self._versions[argument])
                problem = problem or (
                    f"left behind: {disk_copy.litter_of(self._cache)}" if disk_copy.litter_of(self._cache) else None
                )
            if problem is None or time.monotonic() > end:
                break
            time.sleep(0.02)
        _needs(problem is None, f"the copy on disk: {problem}")

    def _do_write_cache(self, argument):
        """Puts a copy there, as another client would have. {version; damage: one of disk_copy.DAMAGES}"""
        argument = _argument(argument, "version")
        disk_copy.write(self._copy_path(), self._versions[argument["version"]], argument.get("damage"))
        self._remembered = disk_copy.state_of(self._copy_path())

    def _do_cache_untouched(self, _argument):
        """The file is as write_cache left it."""
        _needs(disk_copy.state_of(self._copy_path()) == self._remembered, "the client has touched the file")

    # Chance.

    def _do_backoff(self, argument):
        """Ends the stream, and the next ones at once: how long the client waits. {failures; token}"""
        shares = []
        for failure in range(argument["failures"]):
            self._do_end("UNAVAILABLE")
            line = self._take("disconnected")
            before = self._stream
            self._do_stream({"token": argument["token"]})
            shares.append(crowd.check_pause(failure, line["retry_ms"], before, self._stream))
        crowd.check_spread(shares, "the times of one client")

    def _do_crowd(self, argument):
        """So many clients lose their server together, so often. {clients; rounds; version}"""
        crowd.play(
            [
                lambda log, n=n: Driver(
                    self._registry[self._client],
                    ["--target", self._network.address, "--source", SOURCE, "--glob", f"client-{n}", *self._flags],
                    os.path.join(self._directory, f"{log}-{n}.log"),
                )
                for n in range(argument["clients"])
            ],
            self._server,
            snapshot_messages(self._versions[argument["version"]], pb.WATCH_REASON_INITIAL),
            argument["rounds"],
        )


def scenarios_in(directory):
    """All scenarios, those that take long first."""
    paths = sorted(os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".yaml"))
    scenarios = list(itertools.chain.from_iterable(load(path) for path in paths))
    return sorted(scenarios, key=lambda scenario: -scenario.slow)
