package dev.confstream.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.RetryInfo;
import dev.confstream.v1.ConfigServiceGrpc;
import dev.confstream.v1.Outcome;
import dev.confstream.v1.SourceStatus;
import dev.confstream.v1.Violation;
import dev.confstream.v1.WatchRequest;
import dev.confstream.v1.WatchResponse;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.protobuf.StatusProto;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.concurrent.Executor;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * Follows a source, over as many streams as it takes. All of it runs in the tasks of one watch, one
 * at a time: that is what makes it safe without a lock.
 */
final class SourceFollower {
  private static final int MISSED_HEARTBEATS = 3;
  // A server may ask for a longer wait than the backoff's, but not for any.
  private static final Duration MOST_RETRY_DELAY = Duration.ofMinutes(1);

  private final WatchRequest request; // its resume_token is set anew for every stream
  private final WatchEvents events;
  private final Connection connection;
  private final SnapshotAssembler assembler;
  private final WatchState state;
  private final Runnable onSnapshot;
  private final Executor tasks;
  private final ScheduledExecutorService timer;
  private final LogHook log;
  private final long staleAfterNanos;
  private final OutcomeReporter reporter;
  private final Backoff backoff = new Backoff(new SplittableRandom());

  private Stream stream; // null: there is none
  private long heardNanos; // when a message came last, on whichever stream
  private Future<?> retryTimer; // null: none yet, as below
  private Future<?> silenceTimer;

  /** {@code onSnapshot} is called whenever {@code state} has another snapshot. */
  SourceFollower(
      WatchRequest request,
      WatchOptions options,
      Connection connection,
      SnapshotAssembler assembler,
      WatchState state,
      Runnable onSnapshot,
      Executor tasks,
      ScheduledExecutorService timer,
      LogHook log) {
    this.request = request;
    events = options.events;
    this.connection = connection;
    this.assembler = assembler;
    this.state = state;
    this.onSnapshot = onSnapshot;
    this.tasks = tasks;
    this.timer = timer;
    this.log = log;
    staleAfterNanos = options.heartbeat.multipliedBy(MISSED_HEARTBEATS).toNanos();
    reporter = new OutcomeReporter(tasks, log);
  }

  void start() {
    heardNanos = System.nanoTime();
    if (state.stale()) {
      log.log(
          Level.WARNING,
          "version " + state.held().version() + " comes from disk, and may be out of date");
      tell(events::onStale);
    }
    openStream();
  }

  /** The program is given other content. */
  void forgetDecision() {
    reporter.forgetDecision();
  }

  /** What the program made of a snapshot. */
  void decide(Snapshot snapshot, Outcome outcome, String reason) {
    reporter.decide(snapshot, outcome, reason);
  }

  /** Leaves nothing that runs. The state says already that it is over. */
  void close() {
    endStream("the watch is closed");
    reporter.close();
  }

  private void openStream() {
    if (!state.isGoingOn()) return;
    stream = new Stream(connection.channel());
    assembler.beginStream();
    reporter.onStream(stream.channel);
    stream.start(request.toBuilder().setResumeToken(assembler.resumeToken()).build());
    awaitSilence();
  }

  /** Ends the stream and what is planned. */
  private void endStream(String why) {
    if (retryTimer != null) retryTimer.cancel(false);
    if (silenceTimer != null) silenceTimer.cancel(false);
    if (stream == null) return;
    ClientCall<?, ?> call = stream.call;
    stream = null; // what it still brings is not listened to
    call.cancel(why, null);
  }

  /** Errors: as {@link SnapshotAssembler#take}. */
  private void take(WatchResponse message) throws StatusException {
    heardNanos = System.nanoTime();
    stream.heardNanos = heardNanos;
    if (!message.getWatchId().isEmpty())
      log.log(Level.INFO, "connected, as watch " + message.getWatchId());
    if (message.hasSourceStatus() && state.held() == null) {
      state.waitFor("the server has nothing valid yet" + firstViolation(message.getSourceStatus()));
    }
    boolean completed = assembler.take(message);
    if (completed || message.hasHeartbeat()) backoff.reset();
    Snapshot confirmed = assembler.confirmed() ? assembler.held() : null;
    if (confirmed != null) {
      boolean wasStale = state.stale();
      state.setStale(false);
      state.settle(confirmed);
      if (wasStale) {
        log.log(Level.INFO, "settled by the server, at version " + confirmed.version());
        tell(events::onFresh);
      }
      onSnapshot.run();
    }
    reporter.onMessage(message.getWatchId(), confirmed);
  }

  private static String firstViolation(SourceStatus status) {
    if (status.getViolationsCount() == 0) return "";
    Violation first = status.getViolations(0);
    return ": " + first.getPath() + ": " + first.getMessage();
  }

  /** The stream has ended, or is given up. Goes on after some time, or ends the watch. */
  private void disconnected(Status status, Duration askedDelay) {
    if (!state.isGoingOn()) return; // closed by the event before
    ManagedChannel channel = stream.channel;
    endStream("given up");
    String why = status.getCode() + ": " + status.getDescription();
    if (!isWorthRetrying(status)) {
      state.end(status);
      reporter.close();
      log.log(Level.ERROR, "the watch has ended (%s)".formatted(why));
      tell(() -> events.onEnded(status));
      return;
    }
    connection.replaceIfUnconnected(channel);
    Duration asked = askedDelay.compareTo(MOST_RETRY_DELAY) < 0 ? askedDelay : MOST_RETRY_DELAY;
    Duration drawn = backoff.next();
    Duration delay = drawn.compareTo(asked) < 0 ? asked : drawn;
    state.waitFor(why);
    log.log(Level.WARNING, "disconnected (%s); next try in %d ms".formatted(why, delay.toMillis()));
    retryTimer = after(delay.toNanos(), this::openStream);
    awaitSilence();
    tell(() -> events.onDisconnected(status, delay));
  }

  private static boolean isWorthRetrying(Status status) {
    return switch (status.getCode()) {
      case NOT_FOUND,
          INVALID_ARGUMENT,
          OUT_OF_RANGE,
          FAILED_PRECONDITION,
          PERMISSION_DENIED,
          UNAUTHENTICATED,
          UNIMPLEMENTED ->
          false;
      default -> true;
    };
  }

  /**
   * Looks again when the copy becomes stale or the stream is to be given up, if no message comes
   * before.
   */
  private void awaitSilence() {
    if (silenceTimer != null) silenceTimer.cancel(false);
    if (stream == null && !mayBecomeStale()) return;
    long heard = mayBecomeStale() ? heardNanos : stream.heardNanos;
    long left = heard + staleAfterNanos - System.nanoTime();
    silenceTimer = after(Math.max(left, 0), this::checkSilence);
  }

  private void checkSilence() {
    if (!state.isGoingOn()) return;
    long now = System.nanoTime();
    if (mayBecomeStale() && now - heardNanos >= staleAfterNanos) {
      state.setStale(true);
      log.log(
          Level.WARNING,
          "nothing heard for " + seconds(now - heardNanos) + ": the copy may be out of date");
      tell(events::onStale);
    }
    if (stream != null && now - stream.heardNanos >= staleAfterNanos) {
      // A server that hangs behind a proxy would hold the stream open for ever.
      String why = "the server sent nothing for " + seconds(now - stream.heardNanos);
      disconnected(Status.UNAVAILABLE.withDescription(why), Duration.ZERO);
    } else {
      awaitSilence();
    }
  }

  private boolean mayBecomeStale() {
    return state.held() != null && !state.stale();
  }

  private static String seconds(long nanos) {
    return "%.1f s".formatted(nanos / 1e9);
  }

  private Future<?> after(long nanos, Runnable task) {
    try {
      return timer.schedule(() -> tasks.execute(task), nanos, TimeUnit.NANOSECONDS);
    } catch (RejectedExecutionException e) {
      return null; // the client is closed
    }
  }

  private void tell(Runnable event) {
    try {
      event.run();
    } catch (Throwable e) { // also an error: what comes after the event is to come all the same
      log.log(Level.WARNING, "the program failed to take an event: " + e);
    }
  }

  /** The delay that the server asks for in the details of an error; zero if it does not. */
  private static Duration retryDelay(Status status, Metadata trailers) {
    if (status.isOk()) return Duration.ZERO;
    try {
      for (Any detail : StatusProto.fromStatusAndTrailers(status, trailers).getDetailsList()) {
        if (!detail.is(RetryInfo.class)) continue;
        com.google.protobuf.Duration delay = detail.unpack(RetryInfo.class).getRetryDelay();
        return Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
      }
    } catch (InvalidProtocolBufferException | RuntimeException e) {
      // Details that cannot be read are none.
    }
    return Duration.ZERO;
  }

  /** One call of Watch. What it brings once it is not the current one any more is not looked at. */
  private final class Stream extends ClientCall.Listener<WatchResponse> {
    final ManagedChannel channel;
    final ClientCall<WatchRequest, WatchResponse> call;
    long heardNanos = System.nanoTime(); // when a message came last, or when it began

    Stream(ManagedChannel channel) {
      this.channel = channel;
      call =
          channel.newCall(
              ConfigServiceGrpc.getWatchMethod(), CallOptions.DEFAULT.withExecutor(tasks));
    }

    void start(WatchRequest first) {
      call.start(this, new Metadata());
      call.sendMessage(first);
      call.halfClose();
      call.request(1);
    }

    @Override
    public void onMessage(WatchResponse message) {
      if (!isCurrent()) return;
      try {
        take(message);
      } catch (StatusException e) {
        // The copy stays; the next stream is to bring everything anew.
        log.log(Level.WARNING, "starting over: " + e.getStatus().getDescription());
        assembler.forgetToken();
        disconnected(e.getStatus(), Duration.ZERO);
      }
      if (isCurrent()) call.request(1);
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      if (!isCurrent()) return;
      Status told =
          status.isOk()
              ? Status.UNAVAILABLE.withDescription("the server ended the stream")
              : status;
      disconnected(told, retryDelay(status, trailers));
    }

    private boolean isCurrent() {
      return stream == this && state.isGoingOn();
    }
  }
}
