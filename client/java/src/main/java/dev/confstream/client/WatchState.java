package dev.confstream.client;

import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * What a watch holds, and how it stands. Written by the watch's tasks, read and waited for by
 * anybody. Thread-safe.
 */
final class WatchState {
  private final String source;

  // Written with the lock of this held, which wakes who waits; read without it where nobody may
  // wait.
  private volatile Snapshot held; // null: nothing yet
  private volatile boolean stale;
  private volatile Status ended; // null: it goes on
  private volatile boolean closed;

  // Guarded by this.
  private boolean settled; // the server has settled what is held, once and for all
  private String waitingFor = "the server has not answered yet";

  /** {@code fromDisk} is null if there is no copy. */
  WatchState(String source, Snapshot fromDisk) {
    this.source = source;
    held = fromDisk;
    stale = fromDisk != null;
  }

  Snapshot held() {
    return held;
  }

  boolean stale() {
    return stale;
  }

  boolean isGoingOn() {
    return !closed && ended == null;
  }

  /** The server has sent {@code snapshot}, or called it current. */
  synchronized void settle(Snapshot snapshot) {
    held = snapshot;
    settled = true;
    notifyAll();
  }

  void setStale(boolean isStale) {
    stale = isStale;
  }

  synchronized void waitFor(String what) {
    waitingFor = what;
  }

  synchronized void end(Status status) {
    ended = status;
    notifyAll();
  }

  synchronized void close() {
    closed = true;
    notifyAll();
  }

  /** As {@link Watch#await}. */
  synchronized Snapshot await(Duration timeout) throws InterruptedException, TimeoutException {
    long limit = Math.min(TimeUnit.NANOSECONDS.convert(timeout), Long.MAX_VALUE / 2);
    long deadline = System.nanoTime() + limit;
    for (long left = limit;
        left > 0 && !settled && isGoingOn();
        left = deadline - System.nanoTime()) {
      TimeUnit.NANOSECONDS.timedWait(this, left);
    }
    if (settled) return held;
    if (ended != null) throw ended.asRuntimeException();
    if (closed) throw new IllegalStateException("the watch is closed");
    if (held != null) return held;
    throw new TimeoutException(
        "source %s is not there after %s: %s".formatted(source, timeout, waitingFor));
  }

  /**
   * Waits for a snapshot of other content than {@code last}, which may be null. Null: the watch is
   * closed. Errors: StatusRuntimeException if it has ended.
   */
  synchronized Snapshot awaitOther(Snapshot last) throws InterruptedException {
    while (!closed) {
      if (held != null && !held.hasContentOf(last)) return held;
      if (ended != null) throw ended.asRuntimeException();
      wait();
    }
    return null;
  }
}
