package dev.confstream.client;

import dev.confstream.v1.Outcome;
import java.lang.System.Logger.Level;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Supplier;

/**
 * Gives changes to the program's callback, one at a time, and keeps the copy on disk. What waits is
 * the newest snapshot, whatever came before it. Thread-safe.
 */
final class ChangeDelivery {
  /** Is told what the callback made of a version. */
  interface Decisions {
    void decided(Snapshot snapshot, Outcome outcome, String reason);
  }

  private final Executor pool;
  private final Supplier<Snapshot> newest;
  private final ChangeListener listener; // null: none
  private final DiskCopy disk; // null: none
  private final Decisions decisions;
  private final LogHook log;

  // Guarded by this.
  private Snapshot fromDisk; // given first, whatever has come since; null: none, or given
  private Snapshot last; // given last; null: none
  private Thread thread; // in deliver(); null: none
  private boolean running;
  private boolean closed;

  ChangeDelivery(
      Executor pool,
      Supplier<Snapshot> newest,
      ChangeListener listener,
      DiskCopy disk,
      Decisions decisions,
      LogHook log) {
    this.pool = pool;
    this.newest = newest;
    this.listener = listener;
    this.disk = disk;
    this.decisions = decisions;
    this.log = log;
    fromDisk = newest.get();
  }

  /** There may be a newer snapshot. */
  synchronized void wake() {
    if (listener == null && disk == null) return;
    if (running || closed || next() == null) return;
    running = true;
    try {
      pool.execute(this::deliver);
    } catch (RejectedExecutionException e) {
      running = false; // the client is closed
    }
  }

  /** Whether the calling thread is in the callback. */
  synchronized boolean isCurrent() {
    return thread == Thread.currentThread();
  }

  /** Ends delivery. With {@code waits}, no callback is running any more when this returns. */
  synchronized void close(boolean waits) {
    closed = true;
    try {
      while (waits && running) wait();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void deliver() {
    synchronized (this) {
      thread = Thread.currentThread();
    }
    try {
      for (Change change = nextChange(); change != null; change = nextChange()) deliver(change);
    } finally {
      // Only if an error came out of this package: who closes the watch is not to wait for ever.
      if (isCurrent()) stop();
    }
  }

  private synchronized Change nextChange() {
    Snapshot next = closed ? null : next();
    if (next == null) {
      // With the same lock as the look for news, so that no news are missed in between.
      stop();
      return null;
    }
    Change change = new Change(last, next);
    last = next;
    fromDisk = null;
    return change;
  }

  private synchronized void stop() {
    running = false;
    thread = null;
    notifyAll();
  }

  /** What to give next, or null. */
  private Snapshot next() {
    if (fromDisk != null) return fromDisk;
    Snapshot now = newest.get();
    if (now == null || !now.hasContentOf(last)) return now;
    last = now; // the same content, of which the header has moved on
    return null;
  }

  private void deliver(Change change) {
    Snapshot snapshot = change.newSnapshot();
    String failure = null;
    if (listener != null) {
      try {
        listener.onChange(change);
      } catch (Throwable e) { // also an error: the program did not take the version
        failure = e.getMessage() == null ? e.toString() : e.getMessage();
        log.log(Level.WARNING, "version " + snapshot.version() + " was rejected: " + failure);
      }
    }
    // On disk first: who sees that a version is applied may count on the copy.
    if (disk != null && failure == null && !change.fromCache()) disk.write(snapshot);
    if (listener == null) return;
    if (failure == null) {
      decisions.decided(snapshot, Outcome.OUTCOME_APPLIED, "");
    } else {
      decisions.decided(snapshot, Outcome.OUTCOME_REJECTED, failure);
    }
  }
}
