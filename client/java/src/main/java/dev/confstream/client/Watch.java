package dev.confstream.client;

import dev.confstream.v1.Outcome;
import dev.confstream.v1.WatchRequest;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * A source, or a part of it, that is followed until {@link #close}. Made by {@link
 * ConfstreamClient#watch}. Thread-safe.
 *
 * <p>A stream that breaks is resumed after a random time that grows to 10 s at most, for as long as
 * it takes. What is held stays held meanwhile, and is replaced as a whole.
 */
public final class Watch implements AutoCloseable {
  private final WatchState state;
  private final ChangeDelivery delivery;
  private final SourceFollower follower;
  private final Consumer<Watch> onEnd;

  /**
   * Runs all that happens to the watch, one thing after the other: what the stream brings, timers,
   * reports.
   */
  private final SerialExecutor tasks;

  Watch(
      String source,
      WatchOptions options,
      Connection connection,
      Executor pool,
      ScheduledExecutorService timer,
      Consumer<Watch> onEnd) {
    WatchRequest request = options.request.toBuilder().setSource(source).build();
    LogHook log = (level, message) -> options.log.log(level, "source " + source + ": " + message);
    SnapshotAssembler assembler = new SnapshotAssembler(options.maxBytes);
    DiskCopy disk = null;
    if (options.cacheDirectory != null) {
      disk = new DiskCopy(options.cacheDirectory, source, request.getPathGlobsList(), log);
      disk.restore(assembler);
    }
    this.onEnd = onEnd;
    tasks = new SerialExecutor(pool);
    state = new WatchState(source, assembler.held());
    delivery =
        new ChangeDelivery(
            tasks, pool, state::held, options.listener, disk, new DeliveryObserver(), log);
    follower =
        new SourceFollower(
            request, options, connection, assembler, state, delivery::wake, tasks, timer, log);
  }

  void start() {
    tasks.execute(delivery::wake); // the copy from disk first, however fast the server is
    tasks.execute(follower::start);
  }

  /**
   * The newest complete snapshot. Never blocks.
   *
   * @return nothing while there is none; what is held stays held, after {@link #close} too
   */
  public Optional<Snapshot> current() {
    return Optional.ofNullable(state.held());
  }

  /**
   * Whether the snapshot may be out of date. Never blocks.
   *
   * @return true if nothing was heard of the server for three heartbeats, if the snapshot came from
   *     disk and the server has not settled it, or if the watch has ended or is closed
   */
  public boolean stale() {
    return state.stale() || (!state.isGoingOn() && state.held() != null);
  }

  /**
   * Waits until the server has settled what is held: by content, or by word that it is current.
   * Returns at once if that was so before.
   *
   * @param timeout the longest time to wait
   * @return the newest snapshot. If the time is over before the server has settled anything: the
   *     copy from disk, if there is one; {@link #stale} is true then
   * @throws TimeoutException if there is no copy; it says what kept the client waiting
   * @throws StatusRuntimeException if the watch has ended with that error before
   * @throws IllegalStateException if the watch was closed before
   * @throws InterruptedException if the thread is interrupted
   */
  public Snapshot await(Duration timeout) throws InterruptedException, TimeoutException {
    return state.await(timeout);
  }

  /**
   * Changes to loop over, the newest snapshot first. Each iterator begins anew, and belongs to one
   * thread. It blocks until there is a change; who is slow misses versions, never the newest.
   *
   * <p>The loop ends when the watch is closed, or the thread is interrupted (which it then still
   * is). It ends with a {@link StatusRuntimeException} if the watch has ended by itself. It reports
   * no outcomes: use {@link #reportApplied} and {@link #reportRejected}.
   *
   * @return iterators over the changes
   */
  public Iterable<Change> changes() {
    return () -> new ChangeIterator(state);
  }

  /**
   * Reports to the server that the program runs with a version. Not needed with a {@link
   * ChangeListener}. Returns at once; what could not be told is told again with the next message of
   * the server, and after each reconnection for as long as that content is held.
   *
   * @param snapshot a snapshot of this watch
   */
  public void reportApplied(Snapshot snapshot) {
    report(snapshot, Outcome.OUTCOME_APPLIED, "");
  }

  /**
   * Reports to the server that the program could not use a version, and keeps what it had.
   * Otherwise as {@link #reportApplied}.
   *
   * @param snapshot a snapshot of this watch
   * @param reason why, for people to read; at most 1024 bytes of it are kept
   */
  public void reportRejected(Snapshot snapshot, String reason) {
    report(snapshot, Outcome.OUTCOME_REJECTED, reason);
  }

  private void report(Snapshot snapshot, Outcome outcome, String reason) {
    tasks.execute(() -> follower.decide(snapshot, outcome, reason));
  }

  private final class DeliveryObserver implements ChangeDelivery.Observer {
    @Override
    public void begun() {
      follower.forgetDecision();
    }

    @Override
    public void decided(Snapshot snapshot, Outcome outcome, String reason) {
      report(snapshot, outcome, reason);
    }

    @Override
    public void ended() {
      // Behind what runs in the tasks, an event perhaps: who closes the client waits for that, too.
      tasks.execute(() -> onEnd.accept(Watch.this));
    }
  }

  /**
   * Ends the watch: its stream and timers, and loops over {@link #changes}. Waits for a callback
   * that is running, unless it is called from one. {@link #current} still answers. Does nothing if
   * it was done before.
   */
  @Override
  public void close() {
    state.close();
    CountDownLatch done = new CountDownLatch(1);
    tasks.execute(
        () -> {
          follower.close();
          done.countDown();
        });
    // Code of the program's that runs in this watch waits for nothing here: it may itself be waited
    // for.
    boolean isInside = tasks.isCurrent() || delivery.isCurrent();
    delivery.close(!isInside);
    if (isInside) return;
    try {
      done.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
