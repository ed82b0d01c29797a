"""A server that is started again and again on one state, with a record of all that is done to it and seen of it."""

import os
import signal
import threading
import time

import grpc

import records
from confstream.internal import grpc_protocols_pb2 as grpc_pb
from confstream.v1 import admin_service_pb2 as admin
from confstream.v1 import config_service_pb2 as pb
from follower import announce
from harness import Server

CALL_SECONDS = 10.0
REST_SECONDS = 1.0  # longer than to settle: nothing is being read after it, if the machine is not too busy
SHUTDOWN_GRACE_SECONDS = 1
STALL_SECONDS = 4
# What cannot be known is how long a busy machine takes; joining takes less than a second otherwise.
SHUTDOWN_SECONDS = SHUTDOWN_GRACE_SECONDS + 10.0
REFUSED = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION)


class RecordedServer:
    """Serves `sources`, name -> path, with an admin service and a state_dir. `place` is a file for its followers."""

    def __init__(self, directory, sources, recorder, max_versions):
        self.state = os.path.join(directory, "state")
        self.place = os.path.join(directory, "place")
        self.run = 0
        self._directory = directory
        self._sources = sources
        self._recorder = recorder
        self._settings = {
            "admin": True,
            "state_dir": self.state,
            "stall_timeout": f"{STALL_SECONDS}s",
            "max_encoded_size": "8MiB",  # what grows to its bound is to be there soon
            "shutdown_grace": f"{SHUTDOWN_GRACE_SECONDS}s",
            "defaults": {
                "history": {"max_versions": max_versions},
                "poll_interval": "500ms",
                "read_timeout": "2s",
            },
        }
        self._server = None
        self._health = None  # the thread that watches it

    @property
    def process_id(self):
        return self._server.process.pid

    def start(self, preload=""):
        self.run += 1
        started = records.ServerStarted(
            run=self.run, sources=tuple(self._sources), shutdown_seconds=SHUTDOWN_SECONDS, stall_seconds=STALL_SECONDS
        )
        self._recorder.add(started)
        self._settings["listen"] = [f"unix:{self._directory}/server-{self.run}.sock"]
        heard = self._heard(self.run)
        try:
            self._server = Server(self._directory, self._sources, preload=preload, heard=heard, **self._settings)
        except AssertionError:
            self._recorder.add(records.ServerEnded(run=self.run, code=1))
            raise
        self._recorder.add(records.ServerReady(run=self.run))
        self._health = threading.Thread(target=self._watch_health, args=(self._server.address, self.run), daemon=True)
        self._health.start()
        announce(self.place, self.run, self._server.address)

    def kill(self):
        self.signal("KILL")
        self.reap()

    def terminate(self):
        self.signal("TERM")
        self.reap()

    def has_ended(self):
        return self._server is None or self._server.process.poll() is not None

    def reap(self):
        """Waits for its end."""
        code = self._server.wait()
        self._health.join()
        self._server.channel.close()
        self._server.process.stderr.close()
        self._server = None
        self._recorder.add(records.ServerEnded(run=self.run, code=code))

    def close(self):
        """Ends it if it runs."""
        if self._server is None:
            return
        if not self.has_ended():
            self.signal("CONT")
            self.signal("TERM")
        self.reap()

    def signal(self, name):
        self._recorder.add(records.Signalled(run=self.run, signal=name))
        self._server.process.send_signal(getattr(signal, f"SIG{name}"))

    def reload(self, without=()):
        """SIGHUP, with all sources but those. Without effect if it has ended."""
        if self.has_ended():
            return
        sources = {name: path for name, path in self._sources.items() if name not in without}
        self._recorder.add(records.Configured(run=self.run, sources=tuple(sources)))
        self._server.configure(sources, **self._settings)
        self._recorder.add(records.Signalled(run=self.run, signal="HUP"))
        self._server.reload()

    def come_to_rest(self, checker, clients, seconds):
        """Nothing is changed any more: waits until all has arrived at these clients, and has the checker judge."""
        self._recorder.add(records.QuietBegun())
        end = time.monotonic() + seconds
        time.sleep(REST_SECONDS)
        missing = set(clients)
        while time.monotonic() < end and not checker.broken:
            if self.see_sources():
                with self._recorder.lock:
                    missing = set(clients) - checker.watching()
                    if not missing and not checker.unsettled():
                        break
            time.sleep(0.1)
        if not checker.broken:
            for name in missing:
                self._recorder.add(records.StreamFaulted(stream=name, sentence=f"{name} is not answered"))
            self.see_watchers()
            self._recorder.add(records.QuietEnded())

    def see_sources(self):
        """Records the state of every source. False: the server did not answer."""
        try:
            sources = self._server.stub.ListSources(pb.ListSourcesRequest(), timeout=CALL_SECONDS).sources
        except grpc.RpcError:
            return False
        for source in sources:
            status, header = source.status, source.header
            seen = records.SourceSeen(
                run=self.run,
                source=header.source,
                epoch=header.epoch,
                version=header.version,
                digest=header.digest,
                state=pb.SourceState.Name(status.state).removeprefix("SOURCE_STATE_"),
                pin_version=status.pin.version,
                violations=status.violations_total,
                history=pb.HistoryState.Name(status.history.state).removeprefix("HISTORY_STATE_"),
                recorded_version=status.history.recorded_version,
            )
            self._recorder.add(seen)
        return True

    def see_watchers(self):
        token, ids = "", []
        while True:
            page = self._server.admin.ListWatchers(admin.ListWatchersRequest(page_token=token), timeout=CALL_SECONDS)
            for watcher in page.watchers:
                ids.append(watcher.watch_id)
                self._recorder.add(self._watcher_seen(watcher))
            if not (token := page.next_page_token):
                break
        self._recorder.add(records.WatchersListed(run=self.run, watch_ids=tuple(ids)))

    def _watcher_seen(self, watcher):
        report, behind = watcher.last_report, 0.0
        if watcher.HasField("behind_since"):
            behind = max(0.0, time.time() - watcher.behind_since.ToNanoseconds() / 1e9)
        return records.WatcherSeen(
            run=self.run,
            watch_id=watcher.watch_id,
            version=watcher.version,
            in_sync=watcher.in_sync,
            behind_seconds=behind,
            report_version=report.version,
            report_outcome=pb.Outcome.Name(report.outcome).removeprefix("OUTCOME_") if report.version else "",
        )

    def roll_back(self, source, chance):
        """To a version chosen by chance. False: it was not done, as far as is known."""
        try:
            request = admin.ListSnapshotsRequest(source=source)
            listed = self._server.admin.ListSnapshots(request, timeout=CALL_SECONDS).snapshots
        except grpc.RpcError:
            return False
        if not listed:
            return False
        version = chance.choice(listed).header.version
        self._recorder.add(records.RollbackBegun(source=source, version=version))
        try:
            request = admin.RollbackSnapshotRequest(source=source, version=version, reason="soak")
            answer = self._server.admin.RollbackSnapshot(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            unknown = error.code() not in REFUSED
            self._recorder.add(records.RollbackEnded(source=source, version=version, new_version=0, unknown=unknown))
            return False
        header = answer.header
        ended = records.RollbackEnded(
            source=source,
            version=version,
            new_version=header.version,
            epoch=header.epoch,
            digest=header.digest,
            persisted=answer.persisted,
        )
        self._recorder.add(ended)
        return True

    def unpin(self, source):
        self._recorder.add(records.UnpinBegun(source=source))
        try:
            answer = self._server.admin.UnpinSource(admin.UnpinSourceRequest(source=source), timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            not_pinned = error.code() == grpc.StatusCode.FAILED_PRECONDITION
            self._recorder.add(records.UnpinEnded(source=source, done=not_pinned, persisted=False))
            return False
        self._recorder.add(records.UnpinEnded(source=source, done=True, persisted=answer.persisted))
        return True

    def sample(self):
        with open(f"/proc/{self.process_id}/statm", encoding="utf-8") as file:
            pages = int(file.read().split()[1])
        sampled = records.Sampled(
            run=self.run,
            resident_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
            descriptors=self._server.descriptors(),
            threads=self._server.threads(),
        )
        self._recorder.add(sampled)
        return sampled

    def _heard(self, run):
        """What is recorded of each line of the log."""

        def heard(line):
            message = line.get("message")
            if message == "published":
                origin = "FILES" if line["origin"] == "files" else "ROLLBACK"
                fields = {"source": line["source"], "version": int(line["version"]), "digest": line["digest"]}
                self._recorder.add(records.Published(run=run, origin=origin, **fields))
            elif message == "restored":
                fields = {"source": line["source"], "version": int(line["version"]), "epoch": line["epoch"]}
                self._recorder.add(records.Restored(run=run, **fields))

        return heard

    def _watch_health(self, address, run):
        service = "confstream.v1.ConfigService"
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            watch = channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                request_serializer=grpc_pb.HealthCheckRequest.SerializeToString,
                response_deserializer=grpc_pb.HealthCheckResponse.FromString,
            )
            try:
                for answer in watch(grpc_pb.HealthCheckRequest(service=service)):
                    status = grpc_pb.HealthCheckResponse.ServingStatus.Name(answer.status)
                    self._recorder.add(records.HealthSeen(run=run, service=service, status=status))
            except grpc.RpcError:
                pass  # the end of the server
