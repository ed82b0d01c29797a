package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.confstream.v1.Outcome;
import dev.confstream.v1.ReportOutcomeRequest;
import dev.confstream.v1.WatchMode;
import dev.confstream.v1.WatchRequest;
import dev.confstream.v1.WatchResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(180)
class WatchTest {
  private static final Map<String, String> ONE = Map.of("a.yaml", "one");
  private static final Map<String, String> TWO = Map.of("a.yaml", "two");
  private static final Map<String, String> THREE = Map.of("a.yaml", "three");
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  @TempDir Path directory;
  private final Recorder recorder = new Recorder();
  private final Gate gate = new Gate();
  private ScriptedServer server;
  private ConfstreamClient client;

  /** A callback that says when it is called, and returns when it may. */
  private static final class Gate implements ChangeListener {
    final BlockingQueue<Long> entered = new LinkedBlockingQueue<>();
    final Semaphore go = new Semaphore(0);

    @Override
    public void onChange(Change change) throws InterruptedException {
      entered.add(change.newSnapshot().version());
      go.acquire();
    }
  }

  @BeforeEach
  void connect() throws Exception {
    server = new ScriptedServer();
    client = ConfstreamClient.connect(server.address());
  }

  @AfterEach
  void close() throws Exception {
    gate.go.release(100);
    client.close();
    server.close();
  }

  private Watch watch() {
    return client.watch("demo", recorder.options().build());
  }

  private static Snapshot settled(Watch watch) throws Exception {
    return watch.await(PATIENCE);
  }

  // 1, 2: first state, current

  @Test
  void requestSaysWhatTheOptionsSay() throws Exception {
    client.watch(
        "demo",
        WatchOptions.builder()
            .pathGlobs("a/*", "b")
            .mode(WatchOptions.Mode.SNAPSHOT)
            .heartbeat(Duration.ofMillis(1500))
            .minUpdateInterval(Duration.ofSeconds(2))
            .clientId("me")
            .labels(Map.of("pod", "p"))
            .build());
    WatchRequest request = server.nextStream().request;
    assertEquals("demo", request.getSource());
    assertEquals(List.of("a/*", "b"), request.getPathGlobsList());
    assertEquals(WatchMode.WATCH_MODE_SNAPSHOT, request.getMode());
    assertEquals(1, request.getHeartbeatInterval().getSeconds());
    assertEquals(500_000_000, request.getHeartbeatInterval().getNanos());
    assertEquals(2, request.getMinUpdateInterval().getSeconds());
    assertEquals("me", request.getClientId());
    assertEquals(Map.of("pod", "p"), request.getLabelsMap());
    assertEquals("", request.getResumeToken());
  }

  @Test
  void defaultsAreThoseOfTheContract() throws Exception {
    client.watch("demo");
    WatchRequest request = server.nextStream().request;
    assertEquals(WatchMode.WATCH_MODE_DELTA, request.getMode());
    assertEquals(30, request.getHeartbeatInterval().getSeconds());
    assertFalse(request.hasMinUpdateInterval());
    assertFalse(request.getClientId().isEmpty());
  }

  @Test
  void intervalsOutOfBoundsAreRefused() {
    WatchOptions.Builder options = WatchOptions.builder();
    assertThrows(IllegalArgumentException.class, () -> options.heartbeat(Duration.ofMillis(999)));
    assertThrows(IllegalArgumentException.class, () -> options.heartbeat(Duration.ofHours(2)));
    assertThrows(
        IllegalArgumentException.class, () -> options.minUpdateInterval(Duration.ofMillis(-1)));
    assertThrows(IllegalArgumentException.class, () -> options.maxBytes(0));
  }

  @Test
  void awaitReturnsWhatTheServerSettlesAfterItsStatus() throws Exception {
    Watch watch = watch();
    assertEquals(Optional.empty(), watch.current());
    assertFalse(watch.stale());
    ScriptedServer.Stream stream = server.nextStream();
    stream.send(Messages.waiting());
    TimeoutException late =
        assertThrows(TimeoutException.class, () -> watch.await(Duration.ofMillis(300)));
    assertTrue(
        late.getMessage().contains("nothing valid yet: a.yaml: no such thing"), late.getMessage());
    stream.send(Messages.snapshot(1, ONE));
    assertEquals("one", settled(watch).file("a.yaml").orElseThrow().text());
    assertEquals(1, watch.current().orElseThrow().version());
    assertFalse(watch.stale());
  }

  @Test
  void awaitSaysWhatKeptItWaiting() throws Exception {
    Watch watch = watch();
    TimeoutException late =
        assertThrows(TimeoutException.class, () -> watch.await(Duration.ofMillis(50)));
    assertTrue(late.getMessage().contains("has not answered"), late.getMessage());
    server.close();
    recorder.expectDisconnected();
    recorder.expectEvent("disconnected UNAVAILABLE"); // refused
    late = assertThrows(TimeoutException.class, () -> watch.await(Duration.ZERO));
    assertTrue(late.getMessage().contains("UNAVAILABLE"), late.getMessage());
  }

  // 3: changes

  @Test
  void everyChangeIsGivenWithTheOldSnapshot() throws Exception {
    watch();
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    Change first = recorder.nextChange();
    assertEquals(Optional.empty(), first.oldSnapshot());
    assertEquals(1, first.newSnapshot().version());
    assertFalse(first.fromCache());
    stream.send(Messages.delta(1, 2, TWO, List.of(), TWO));
    Change second = recorder.nextChange();
    assertEquals(1, second.oldSnapshot().orElseThrow().version());
    assertEquals("two", second.newSnapshot().file("a.yaml").orElseThrow().text());
  }

  @Test
  void sameContentIsNoChangeAndOnlyMovesTheHeader() throws Exception {
    Watch watch = watch();
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    recorder.nextChange();
    stream.send(Messages.snapshot(2, ONE)).send(Messages.inSync(3)).send(Messages.snapshot(4, TWO));
    Change change = recorder.nextChange();
    assertEquals(3, change.oldSnapshot().orElseThrow().version());
    assertEquals(4, change.newSnapshot().version());
    assertEquals(4, watch.current().orElseThrow().version());
  }

  @Test
  void slowCallbackMissesVersionsButNotTheNewest() throws Exception {
    Watch watch = client.watch("demo", recorder.options().onChange(gate).build());
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    assertEquals(1, gate.entered.take());
    for (int version = 2; version <= 100; version++) {
      stream.send(Messages.snapshot(version, Map.of("a", "content " + version)));
    }
    awaitVersion(watch, 100);
    gate.go.release(100);
    assertEquals(100, gate.entered.take());
    assertEquals(null, gate.entered.poll(200, TimeUnit.MILLISECONDS));
  }

  @Test
  void iteratorGivesChangesAndEndsWithTheWatch() throws Exception {
    Watch watch = client.watch("demo");
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    List<String> seen = new ArrayList<>();
    for (Change change : watch.changes()) {
      seen.add(change.oldSnapshot().map(Snapshot::version) + ">" + change.newSnapshot().version());
      if (seen.size() == 1) stream.send(Messages.snapshot(2, ONE)).send(Messages.snapshot(3, TWO));
      if (seen.size() == 2) watch.close();
    }
    assertEquals(List.of("Optional.empty>1", "Optional[1]>3"), seen);
    stream.expectCancelled();
  }

  @Test
  void iteratorEndsWithTheErrorThatEndedTheWatch() throws Exception {
    Watch watch = client.watch("demo");
    server.nextStream().send(Messages.snapshot(1, ONE)).end(Status.NOT_FOUND);
    var changes = watch.changes().iterator();
    assertEquals(1, changes.next().newSnapshot().version());
    assertThrows(StatusRuntimeException.class, changes::next);
  }

  // 4, 5: reconnect, resume

  @Test
  void whateverEndsTheStreamItIsResumedWithTheLastToken() throws Exception {
    Watch watch = watch();
    server.nextStream().send(Messages.snapshot(1, ONE)).send(Messages.inSync(2)).end(Status.OK);
    recorder.nextChange();
    recorder.expectEvent("disconnected UNAVAILABLE");
    ScriptedServer.Stream second = server.nextStream();
    assertEquals("token-2", second.request.getResumeToken());
    second.end(Status.CANCELLED);
    recorder.expectEvent("disconnected CANCELLED");
    ScriptedServer.Stream third = server.nextStream();
    assertEquals("token-2", third.request.getResumeToken());
    third.send(Messages.delta(2, 3, TWO, List.of(), TWO));
    assertEquals(3, recorder.nextChange().newSnapshot().version());
    assertEquals(3, watch.current().orElseThrow().version());
    third.end(Status.INTERNAL);
    recorder.expectEvent("disconnected INTERNAL");
    assertEquals("token-3", server.nextStream().request.getResumeToken());
  }

  @Test
  void tokenOfAnUnfinishedVersionDoesNotCount() throws Exception {
    watch();
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    recorder.nextChange();
    stream.send(Messages.fragments(Messages.snapshot(2, TWO), 2).get(0));
    stream.end(Status.UNAVAILABLE);
    ScriptedServer.Stream second = server.nextStream();
    assertEquals("token-1", second.request.getResumeToken());
    second.send(Messages.snapshot(2, TWO));
    assertEquals(2, recorder.nextChange().newSnapshot().version());
  }

  @Test
  void delaysGrowAndAreDrawnAndStartOverWithAHeartbeat() throws Exception {
    client.watch("demo", recorder.options().heartbeat(Duration.ofSeconds(30)).build());
    for (int i = 0; i < 6; i++) {
      server.nextStream().end(Status.UNAVAILABLE);
      recorder.expectEvent("disconnected UNAVAILABLE");
    }
    for (int i = 0; i < 6; i++) {
      assertTrue(recorder.delays.get(i).toMillis() <= 100L << i, recorder.delays::toString);
    }
    assertTrue(recorder.delays.stream().distinct().count() == 6, recorder.delays::toString);
    server.nextStream().send(Messages.snapshot(1, ONE)).end(Status.UNAVAILABLE);
    recorder.expectEvent("disconnected UNAVAILABLE");
    assertTrue(recorder.delays.get(6).toMillis() <= 100, recorder.delays::toString);
    server.nextStream().end(Status.UNAVAILABLE);
    recorder.expectEvent("disconnected UNAVAILABLE");
    server.nextStream().send(Messages.inSync(1)).end(Status.UNAVAILABLE);
    recorder.expectEvent("disconnected UNAVAILABLE");
    assertTrue(recorder.delays.get(8).toMillis() <= 100, recorder.delays::toString);
  }

  @Test
  void serverMayAskForALongerDelay() throws Exception {
    watch();
    server.nextStream().endWithRetryInfo(Status.UNAVAILABLE, 1);
    recorder.expectEvent("disconnected UNAVAILABLE");
    assertEquals(List.of(Duration.ofSeconds(1)), recorder.delays);
    server.expectNoStreamFor(800);
    server.nextStream().endWithRetryInfo(Status.RESOURCE_EXHAUSTED, 3600);
    recorder.expectEvent("disconnected RESOURCE_EXHAUSTED");
    assertEquals(Duration.ofMinutes(1), recorder.delays.get(1));
  }

  @Test
  void errorsThatComeBackEndTheWatch() throws Exception {
    for (Status.Code code :
        List.of(
            Status.Code.NOT_FOUND,
            Status.Code.INVALID_ARGUMENT,
            Status.Code.OUT_OF_RANGE,
            Status.Code.FAILED_PRECONDITION,
            Status.Code.PERMISSION_DENIED,
            Status.Code.UNAUTHENTICATED,
            Status.Code.UNIMPLEMENTED)) {
      try (Watch watch = watch()) {
        server.nextStream().end(code.toStatus().withDescription("because"));
        StatusRuntimeException ended =
            assertThrows(StatusRuntimeException.class, () -> settled(watch));
        assertEquals(code, ended.getStatus().getCode());
        assertEquals("because", ended.getStatus().getDescription());
        recorder.expectEvent("ended " + code);
      }
    }
    server.expectNoStreamFor(300);
  }

  @Test
  void whatIsHeldStaysWhenTheWatchEnds() throws Exception {
    Watch watch = watch();
    server.nextStream().send(Messages.snapshot(1, ONE)).end(Status.NOT_FOUND);
    recorder.expectEvent("ended NOT_FOUND");
    assertEquals(1, settled(watch).version());
    assertTrue(watch.stale());
    assertTrue(recorder.logHas("ERROR"));
  }

  @Test
  void serverThatIsKilledAndComesBackIsFollowedAgain() throws Exception {
    Watch watch = watch();
    server.nextStream().send(Messages.snapshot(1, ONE));
    recorder.nextChange();
    server.close();
    recorder.expectDisconnected();
    recorder.expectEvent("disconnected UNAVAILABLE"); // refused
    server = new ScriptedServer(server.port);
    ScriptedServer.Stream stream = server.nextStream();
    assertEquals("token-1", stream.request.getResumeToken());
    stream.send(Messages.snapshot(2, TWO));
    assertEquals(2, recorder.nextChange().newSnapshot().version());
    assertEquals(2, watch.current().orElseThrow().version());
  }

  @Test
  void serverThatIsAwayForSomeSecondsIsFoundByItsReturn() throws Exception {
    server.close();
    client.watch("demo", recorder.options().heartbeat(Duration.ofSeconds(30)).build());
    // By now gRPC's own backoff between connections would be longer than the one of the contract.
    for (int i = 0; i < 6; i++) recorder.expectEvent("disconnected UNAVAILABLE");
    server = new ScriptedServer(server.port);
    long back = System.nanoTime();
    server.nextStream();
    long most = recorder.delays.get(recorder.delays.size() - 1).toNanos();
    assertTrue(System.nanoTime() - back < most + TimeUnit.SECONDS.toNanos(2));
  }

  @Test
  void watchesOfOneClientReconnectTogether() throws Exception {
    Watch first = watch();
    Watch second = watch();
    for (int i = 0; i < 2; i++) server.nextStream().send(Messages.snapshot(1, ONE));
    settled(first);
    settled(second);
    server.close();
    server = new ScriptedServer(server.port);
    for (int i = 0; i < 2; i++) server.nextStream().send(Messages.snapshot(2, TWO));
    awaitVersion(first, 2);
    awaitVersion(second, 2);
  }

  // 6: stale

  @Test
  void silenceMakesItStaleOnceAndTheStreamIsResumed() throws Exception {
    Watch watch = watch();
    ScriptedServer.Stream silent = server.nextStream().send(Messages.snapshot(1, ONE));
    settled(watch);
    recorder.nextChange();
    long begin = System.nanoTime();
    recorder.expectEvent("stale");
    long heartbeats = (System.nanoTime() - begin) / 1_000_000;
    assertTrue(heartbeats >= 2900 && heartbeats < 4500, heartbeats + " ms");
    assertTrue(watch.stale());
    assertEquals(1, watch.current().orElseThrow().version());
    recorder.expectEvent("disconnected UNAVAILABLE");
    silent.expectCancelled();
    ScriptedServer.Stream second = server.nextStream();
    assertEquals("token-1", second.request.getResumeToken());
    second.send(Messages.waiting()); // does not settle anything
    assertTrue(watch.stale());
    second.send(Messages.inSync(1));
    recorder.expectEvent("fresh");
    assertFalse(watch.stale());
    recorder.expectNoChangeFor(0);
  }

  @Test
  void serverThatIsAwayMakesItStaleOnce() throws Exception {
    Watch watch = watch();
    server.nextStream().send(Messages.snapshot(1, ONE));
    settled(watch);
    server.close();
    int stale = 0;
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(7);
    while (System.nanoTime() < end) {
      String event = recorder.events.poll(100, TimeUnit.MILLISECONDS);
      if ("stale".equals(event)) stale++;
    }
    assertEquals(1, stale);
    assertTrue(watch.stale());
  }

  @Test
  void heartbeatsKeepItFresh() throws Exception {
    Watch watch = watch();
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    settled(watch);
    for (int i = 0; i < 5; i++) {
      Thread.sleep(1000); // a server's pace, not a wait for something
      stream.send(Messages.inSync(1));
    }
    assertFalse(watch.stale());
    assertEquals(0, recorder.events.size());
  }

  // 7: checked

  @Test
  void contradictionStartsOverWithoutATokenAndKeepsTheCopy() throws Exception {
    Watch watch = watch();
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    recorder.nextChange();
    WatchResponse.Builder lie = Messages.snapshot(2, TWO).toBuilder();
    lie.getSnapshotBuilder().setViewDigest(Messages.viewDigest(THREE));
    stream.send(lie.build());
    recorder.expectEvent("disconnected DATA_LOSS");
    stream.expectCancelled();
    assertEquals("one", watch.current().orElseThrow().file("a.yaml").orElseThrow().text());
    assertTrue(recorder.logHas("starting over"));
    ScriptedServer.Stream second = server.nextStream();
    assertEquals("", second.request.getResumeToken());
    second.send(Messages.snapshot(2, TWO));
    assertEquals(2, recorder.nextChange().newSnapshot().version());
  }

  @Test
  void messageThatDoesNotParseBreaksTheStreamOnly() throws Exception {
    watch();
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    recorder.nextChange();
    stream.send(Messages.garbage());
    recorder.expectDisconnected();
    stream.expectCancelled();
    ScriptedServer.Stream second = server.nextStream();
    assertEquals("token-1", second.request.getResumeToken());
    second.send(Messages.snapshot(2, TWO));
    assertEquals(2, recorder.nextChange().newSnapshot().version());
  }

  // 9: outcomes

  private static void expectReport(
      ReportOutcomeRequest report, ScriptedServer.Stream stream, long version, Outcome outcome) {
    assertEquals(stream.watchId, report.getWatchId());
    assertEquals(version, report.getVersion());
    assertEquals(outcome, report.getOutcome());
  }

  @Test
  void callbackThatReturnsIsReportedAppliedAndOneThatFailsRejected() throws Exception {
    ChangeListener picky =
        change -> {
          if (change.newSnapshot().version() == 2)
            throw new Exception("no two: " + "x".repeat(2000));
        };
    client.watch("demo", recorder.options().onChange(picky).build());
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    stream.send(Messages.snapshot(2, TWO));
    ReportOutcomeRequest rejected = server.nextReport();
    expectReport(rejected, stream, 2, Outcome.OUTCOME_REJECTED);
    assertTrue(rejected.getReason().startsWith("no two: xxx"));
    assertEquals(1024, rejected.getReason().length());
    stream.send(Messages.snapshot(3, THREE));
    expectReport(server.nextReport(), stream, 3, Outcome.OUTCOME_APPLIED);
  }

  @Test
  void whatIsHeldIsReportedToTheNextStreamOnceThatHasConfirmedIt() throws Exception {
    watch();
    server.nextStream().send(Messages.snapshot(1, ONE)).end(Status.UNAVAILABLE);
    recorder.nextChange();
    ScriptedServer.Stream second = server.nextStream();
    if (server.nextReport().getWatchId().equals(second.watchId)) throw new AssertionError();
    second.send(Messages.waiting());
    server.expectNoReportFor(200);
    second.send(Messages.inSync(1)).send(Messages.inSync(1));
    expectReport(server.nextReport(), second, 1, Outcome.OUTCOME_APPLIED);
    server.expectNoReportFor(200);
    second.send(Messages.inSync(5)); // the version moves on without other content
    expectReport(server.nextReport(), second, 5, Outcome.OUTCOME_APPLIED);
  }

  @Test
  void reportThatFailsIsTriedAgainWithTheNextMessage() throws Exception {
    server.refuseReports(1);
    watch();
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    server.expectNoReportFor(300);
    assertTrue(recorder.logHas("was not reported"));
    stream.send(Messages.inSync(1));
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    stream.send(Messages.inSync(1));
    server.expectNoReportFor(300);
  }

  @Test
  void slowCallbackIsReportedForTheVersionThatItTook() throws Exception {
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch go = new CountDownLatch(1);
    ChangeListener slow =
        change -> {
          begun.countDown();
          go.await();
        };
    Watch watch = client.watch("demo", recorder.options().onChange(slow).build());
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    begun.await();
    stream.send(Messages.snapshot(2, TWO));
    awaitVersion(watch, 2);
    go.countDown();
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    expectReport(server.nextReport(), stream, 2, Outcome.OUTCOME_APPLIED);
    server.expectNoReportFor(200);
  }

  @Test
  void contentThatComesBackIsReportedOnceTheCallbackHasTakenItAgain() throws Exception {
    Watch watch = client.watch("demo", recorder.options().onChange(gate).build());
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    assertEquals(1, gate.entered.take());
    gate.go.release();
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    stream.send(Messages.snapshot(2, TWO));
    assertEquals(2, gate.entered.take());
    stream.send(Messages.snapshot(3, ONE));
    awaitVersion(watch, 3);
    server.expectNoReportFor(200);
    gate.go.release();
    expectReport(server.nextReport(), stream, 2, Outcome.OUTCOME_APPLIED);
    assertEquals(3, gate.entered.take());
    stream.send(Messages.inSync(4));
    server.expectNoReportFor(200);
    gate.go.release();
    expectReport(server.nextReport(), stream, 4, Outcome.OUTCOME_APPLIED);
  }

  /** The callback has had version 1, and version 2 is held, when the report of 1 is refused. */
  private ScriptedServer.Stream refuseReportOfWhatIsHeldNoMore(Watch watch) throws Exception {
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    assertEquals(1, gate.entered.take());
    stream.send(Messages.snapshot(2, TWO));
    awaitVersion(watch, 2);
    server.refuseReports(1);
    gate.go.release();
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    return stream;
  }

  @Test
  void reportOfAVersionThatIsHeldNoMoreIsTriedAgain() throws Exception {
    Watch watch = client.watch("demo", recorder.options().onChange(gate).build());
    ScriptedServer.Stream stream = refuseReportOfWhatIsHeldNoMore(watch);
    server.expectNoReportFor(200);
    stream.send(Messages.inSync(2));
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    stream.send(Messages.inSync(2));
    server.expectNoReportFor(200);
  }

  @Test
  void reportThatFailsIsForgottenWithItsStreamAndOnceANewerOneIsTaken() throws Exception {
    Watch watch = client.watch("demo", recorder.options().onChange(gate).build());
    ScriptedServer.Stream stream = refuseReportOfWhatIsHeldNoMore(watch);
    gate.go.release();
    expectReport(server.nextReport(), stream, 2, Outcome.OUTCOME_APPLIED);
    stream.send(Messages.inSync(2));
    server.expectNoReportFor(200);

    assertEquals(2, gate.entered.take());
    stream.send(Messages.snapshot(3, THREE));
    assertEquals(3, gate.entered.take());
    stream.send(Messages.snapshot(4, ONE));
    awaitVersion(watch, 4);
    server.refuseReports(1);
    gate.go.release();
    expectReport(server.nextReport(), stream, 3, Outcome.OUTCOME_APPLIED);
    stream.end(Status.UNAVAILABLE);
    server.nextStream().send(Messages.inSync(4));
    server.expectNoReportFor(200);
  }

  @Test
  void nothingIsReportedAfterTheEnd() throws Exception {
    server.holdReports();
    Watch watch = watch();
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    stream.send(Messages.inSync(5)); // is to be reported after the report that is on its way
    while (watch.current().orElseThrow().version() < 5) Thread.sleep(5);
    watch.close();
    server.expectNoReportFor(300);
  }

  @Test
  void withoutACallbackTheProgramReports() throws Exception {
    Watch watch = client.watch("demo");
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    Snapshot snapshot = settled(watch);
    server.expectNoReportFor(300);
    watch.reportRejected(snapshot, "not now");
    ReportOutcomeRequest report = server.nextReport();
    expectReport(report, stream, 1, Outcome.OUTCOME_REJECTED);
    assertEquals("not now", report.getReason());
    watch.reportApplied(snapshot);
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
  }

  // 10: the copy on disk

  private void leaveCopy() throws Exception {
    Watch watch = client.watch("demo", recorder.options().cacheDirectory(directory).build());
    server.nextStream().send(Messages.snapshot(1, ONE));
    server.nextReport();
    assertFalse(recorder.nextChange().fromCache());
    watch.close();
  }

  @Test
  void copyIsHeldStaleWhileTheServerIsAwayAndSettledWhenItComes() throws Exception {
    leaveCopy();
    server.close();
    Watch watch = client.watch("demo", recorder.options().cacheDirectory(directory).build());
    assertEquals("one", watch.current().orElseThrow().file("a.yaml").orElseThrow().text());
    assertTrue(watch.stale());
    Change first = recorder.nextChange();
    assertTrue(first.fromCache());
    assertEquals(Optional.empty(), first.oldSnapshot());
    recorder.expectEvent("stale");
    assertEquals(1, watch.await(Duration.ofMillis(100)).version());
    assertTrue(watch.stale());
    server = new ScriptedServer(server.port);
    ScriptedServer.Stream stream = server.nextStream();
    assertEquals("token-1", stream.request.getResumeToken());
    stream.send(Messages.inSync(1));
    expectReport(server.nextReport(), stream, 1, Outcome.OUTCOME_APPLIED);
    assertFalse(watch.stale());
    assertTrue(recorder.events.contains("fresh"));
    recorder.expectNoChangeFor(0);
  }

  @Test
  void copyIsTheFirstChangeEvenIfTheServerIsFast() throws Exception {
    leaveCopy();
    client.watch("demo", recorder.options().cacheDirectory(directory).build());
    server.nextStream().send(Messages.snapshot(2, TWO));
    assertTrue(recorder.nextChange().fromCache());
    Change second = recorder.nextChange();
    assertFalse(second.fromCache());
    assertEquals(1, second.oldSnapshot().orElseThrow().version());
  }

  @Test
  void awaitWithACopyWaitsForTheServer() throws Exception {
    leaveCopy();
    Watch watch = client.watch("demo", recorder.options().cacheDirectory(directory).build());
    BlockingQueue<Long> waited = new LinkedBlockingQueue<>();
    Thread waiter =
        new Thread(
            () -> {
              try {
                waited.add(settled(watch).version());
              } catch (Exception e) {
                waited.add(-1L);
              }
            });
    waiter.start();
    ScriptedServer.Stream stream = server.nextStream();
    assertEquals(null, waited.poll(200, TimeUnit.MILLISECONDS));
    stream.send(Messages.snapshot(2, TWO));
    assertEquals(2L, waited.take());
    assertFalse(watch.stale());
  }

  @Test
  void rejectedVersionIsNotWritten() throws Exception {
    ChangeListener picky =
        change -> {
          if (change.newSnapshot().version() == 2) throw new Exception("no");
        };
    WatchOptions options = recorder.options().cacheDirectory(directory).onChange(picky).build();
    try (Watch watch = client.watch("demo", options)) {
      ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
      server.nextReport();
      stream.send(Messages.snapshot(2, TWO));
      assertEquals(Outcome.OUTCOME_REJECTED, server.nextReport().getOutcome());
      assertEquals(2, watch.current().orElseThrow().version());
    }
    Watch next = client.watch("demo", options);
    assertEquals(1, next.current().orElseThrow().version());
  }

  @Test
  void withoutACallbackTheCopyIsWrittenAtOnce() throws Exception {
    WatchOptions options = WatchOptions.builder().cacheDirectory(directory).build();
    try (Watch watch = client.watch("demo", options)) {
      server.nextStream().send(Messages.snapshot(1, ONE));
      settled(watch);
      awaitCopy();
    }
    try (Watch next = client.watch("demo", options)) {
      assertEquals(1, next.current().orElseThrow().version());
    }
  }

  // 11: bounds

  @Test
  void tooLargeVersionIsRefusedAndTheCopyStays() throws Exception {
    Watch watch = client.watch("demo", recorder.options().maxBytes(10).build());
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    recorder.nextChange();
    stream.send(Messages.snapshot(2, Map.of("a", "more than ten bytes")));
    recorder.expectEvent("disconnected RESOURCE_EXHAUSTED");
    assertEquals(1, watch.current().orElseThrow().version());
    server.nextStream().send(Messages.snapshot(3, TWO));
    assertEquals(3, recorder.nextChange().newSnapshot().version());
  }

  @Test
  void messageOfSomeMegabytesIsTaken() throws Exception {
    String large = "x".repeat(5 << 20);
    Watch watch = watch();
    server.nextStream().send(Messages.snapshot(1, Map.of("a", large)));
    assertEquals(large, settled(watch).file("a").orElseThrow().text());
  }

  // 12: end

  @Test
  void closeWaitsForTheCallbackAndEndsTheStream() throws Exception {
    CountDownLatch entered = new CountDownLatch(1);
    AtomicInteger done = new AtomicInteger();
    ChangeListener slow =
        change -> {
          entered.countDown();
          Thread.sleep(500);
          done.incrementAndGet();
        };
    Watch watch = client.watch("demo", recorder.options().onChange(slow).build());
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    entered.await();
    stream.send(Messages.snapshot(2, TWO));
    awaitVersion(watch, 2);
    watch.close();
    assertEquals(1, done.get());
    stream.expectCancelled();
    assertEquals(2, watch.current().orElseThrow().version());
    watch.close();
    server.expectNoStreamFor(300);
    assertEquals(1, done.get(), "a change after the end");
  }

  @Test
  void closeFromTheCallbackAndFromAnEventDoesNotWaitForItself() throws Exception {
    BlockingQueue<Watch> own = new LinkedBlockingQueue<>();
    CountDownLatch closed = new CountDownLatch(2);
    ChangeListener closing =
        change -> {
          own.take().close();
          closed.countDown();
        };
    Watch first = client.watch("demo", WatchOptions.builder().onChange(closing).build());
    own.add(first);
    ScriptedServer.Stream stream = server.nextStream().send(Messages.snapshot(1, ONE));
    stream.expectCancelled();

    WatchEvents closingToo =
        new WatchEvents() {
          @Override
          public void onDisconnected(Status status, Duration retryIn) {
            try {
              own.take().close();
              closed.countDown();
            } catch (InterruptedException e) {
              throw new AssertionError(e);
            }
          }
        };
    Watch second = client.watch("demo", WatchOptions.builder().events(closingToo).build());
    own.add(second);
    server.nextStream().end(Status.UNAVAILABLE);
    assertTrue(closed.await(10, TimeUnit.SECONDS));
    server.expectNoStreamFor(300);
  }

  @Test
  void closedClientHasWaitedForTheCallbackThatHadClosedItsWatch() throws Exception {
    BlockingQueue<Watch> own = new LinkedBlockingQueue<>();
    ChangeListener closing =
        change -> {
          own.take().close();
          gate.onChange(change);
        };
    own.add(client.watch("demo", WatchOptions.builder().onChange(closing).build()));
    server.nextStream().send(Messages.snapshot(1, ONE));
    assertEquals(1, gate.entered.take());
    Thread closer = new Thread(client::close);
    closer.start();
    closer.join(300);
    assertTrue(closer.isAlive(), "the callback is running");
    gate.go.release();
    closer.join(PATIENCE.toMillis());
    assertFalse(closer.isAlive());
  }

  @Test
  void twoCallbacksMayCloseTheirWatchesAndTheirClientAtOnce() throws Exception {
    CyclicBarrier both = new CyclicBarrier(2);
    CountDownLatch closed = new CountDownLatch(2);
    for (int i = 0; i < 2; i++) {
      BlockingQueue<Watch> own = new LinkedBlockingQueue<>();
      ChangeListener closing =
          change -> {
            both.await();
            own.take().close();
            both.await();
            client.close();
            closed.countDown();
          };
      own.add(client.watch("demo", WatchOptions.builder().onChange(closing).build()));
      server.nextStream().send(Messages.snapshot(1, ONE));
    }
    assertTrue(closed.await(PATIENCE.toSeconds(), TimeUnit.SECONDS));
  }

  @Test
  void closeWakesWhoWaits() throws Exception {
    Watch watch = watch();
    server.nextStream();
    BlockingQueue<Exception> thrown = new LinkedBlockingQueue<>();
    Thread waiter =
        new Thread(
            () -> {
              try {
                settled(watch);
              } catch (Exception e) {
                thrown.add(e);
              }
            });
    waiter.start();
    watch.close();
    assertEquals(IllegalStateException.class, thrown.take().getClass());
  }

  @Test
  void closedClientLeavesNoThread() throws Exception {
    Watch watch = watch();
    server.nextStream().send(Messages.snapshot(1, ONE));
    settled(watch);
    recorder.nextChange();
    assertFalse(clientThreads().isEmpty());
    client.close();
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (!clientThreads().isEmpty() && System.nanoTime() < end) Thread.sleep(10);
    assertEquals(List.of(), clientThreads());
    assertThrows(IllegalStateException.class, () -> client.watch("demo"));
    watch.close();
    assertEquals(1, watch.current().orElseThrow().version());
  }

  private static List<String> clientThreads() {
    return Thread.getAllStackTraces().keySet().stream()
        .map(Thread::getName)
        .filter(name -> name.startsWith("confstream-"))
        .toList();
  }

  @Test
  void hundredWatchesShareAFewThreads() throws Exception {
    List<Watch> watches = new ArrayList<>();
    for (int i = 0; i < 100; i++) watches.add(client.watch("demo"));
    for (int i = 0; i < 100; i++) server.nextStream().send(Messages.snapshot(1, ONE));
    for (Watch watch : watches) settled(watch);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (clientThreads().size() > 3 && System.nanoTime() < end) Thread.sleep(100);
    assertTrue(clientThreads().size() <= 3, clientThreads()::toString);
  }

  @Test
  void whatTheProgramThrowsInEventsDoesNoHarm() throws Exception {
    leaveCopy();
    WatchEvents broken =
        new WatchEvents() {
          @Override
          public void onStale() {
            throw new AssertionError("broken");
          }

          @Override
          public void onDisconnected(Status status, Duration retryIn) {
            WatchTest.<RuntimeException>throwSneakily(new Exception("broken"));
          }
        };
    client.watch(
        "demo",
        recorder.options().cacheDirectory(directory).events(broken).onChange(recorder).build());
    server.nextStream().end(Status.UNAVAILABLE);
    assertTrue(recorder.nextChange().fromCache());
    server.nextStream().send(Messages.snapshot(2, TWO));
    assertEquals(2, recorder.nextChange().newSnapshot().version());
  }

  @SuppressWarnings("unchecked")
  private static <E extends Throwable> void throwSneakily(Throwable thrown) throws E {
    throw (E) thrown;
  }

  @Test
  void whatTheLogHookThrowsDoesNoHarm() throws Exception {
    for (Throwable thrown :
        List.of(new IllegalStateException(), new Exception(), new AssertionError())) {
      LogHook broken = (level, message) -> WatchTest.<RuntimeException>throwSneakily(thrown);
      try (Watch watch = client.watch("demo", WatchOptions.builder().log(broken).build())) {
        server.nextStream().end(Status.UNAVAILABLE);
        server.nextStream().send(Messages.snapshot(1, ONE));
        settled(watch);
      }
    }
  }

  @Test
  void whatTheServerSaysIsLoggedWithoutControlCharacters() throws Exception {
    watch();
    server.nextStream().end(Status.UNAVAILABLE.withDescription("a\nb\u001b[cd\u0085e\u009bf"));
    recorder.expectEvent("disconnected UNAVAILABLE");
    assertTrue(recorder.logHas("a?b?[cd?e?f"), recorder.log::toString);
  }

  private void awaitCopy() throws Exception {
    for (long end = System.nanoTime() + PATIENCE.toNanos(); System.nanoTime() < end; ) {
      try (var files = Files.list(directory)) {
        if (files.anyMatch(file -> file.toString().endsWith(".snapshot"))) return;
      }
      Thread.sleep(5);
    }
    throw new AssertionError("no copy is written");
  }

  private static void awaitVersion(Watch watch, long version) {
    for (Change change : watch.changes()) {
      if (change.newSnapshot().version() == version) return;
    }
  }
}
