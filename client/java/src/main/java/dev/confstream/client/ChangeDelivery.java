package dev.confstream.client;

import dev.confstream.v1.Outcome;
import java.lang.System.Logger.Level;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.function.Supplier;

/**
 * Gives changes to the program's callback, one at a time, and keeps the copy on disk. What waits is
 * the newest snapshot, whatever came before it. Thread-safe, but for {@link #wake}.
 */
final class ChangeDelivery {
  /** Is told how it goes. */
  interface Observer {
    /**
     * The callback is given other content, and has not decided on that. Called in the task that
     * chooses it: if the content before it comes back, it is to find no decision on it.
     */
    void begun();

    /** What the callback made of a version. Called on its thread. */
    void decided(Snapshot snapshot, Outcome outcome, String reason);

    /** It is closed, and no callback is running. May be called again. */
    void ended();
  }

  private final Executor tasks; // of the watch
  private final Executor pool; // for callbacks
  private final Supplier<Snapshot> newest;
  private final ChangeListener listener; // null: none
  private final DiskCopy disk; // null: none
  private final Observer observer;
  private final LogHook log;

  private Snapshot last; // given last; null: none. Used by the tasks only

  // Guarded by this.
  private Thread thread; // in deliver(); null: none
  private boolean running; // from the choice of a change until its task after it
  private boolean closed;

  ChangeDelivery(
      Executor tasks,
      Executor pool,
      Supplier<Snapshot> newest,
      ChangeListener listener,
      DiskCopy disk,
      Observer observer,
      LogHook log) {
    this.tasks = tasks;
    this.pool = pool;
    this.newest = newest;
    this.listener = listener;
    this.disk = disk;
    this.observer = observer;
    this.log = log;
  }

  /** There may be a newer snapshot. Called in the tasks of the watch. */
  void wake() {
    if (listener == null && disk == null) return;
    Change change = nextChange();
    if (change == null) return;
    if (listener != null) observer.begun();
    try {
      pool.execute(() -> deliver(change));
    } catch (RejectedExecutionException e) {
      stop(); // the client is closed
    }
  }

  /** Whether the calling thread is in the callback. */
  synchronized boolean isCurrent() {
    return thread == Thread.currentThread();
  }

  /** Ends delivery. With {@code waits}, no callback is running any more when this returns. */
  void close(boolean waits) {
    if (!end(waits)) observer.ended();
  }

  /** Returns whether a callback is running. */
  private synchronized boolean end(boolean waits) {
    closed = true;
    try {
      while (waits && running) wait();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return running;
  }

  private synchronized Change nextChange() {
    if (running || closed) return null;
    Snapshot now = newest.get();
    Snapshot before = last;
    last = now;
    // The same content, of which the header has moved on, is no change.
    if (now == null || now.hasContentOf(before)) return null;
    running = true;
    return new Change(before, now);
  }

  private void deliver(Change change) {
    try {
      if (enter()) give(change);
    } finally {
      leave();
      tasks.execute(this::next);
    }
  }

  private synchronized boolean enter() {
    thread = Thread.currentThread();
    return !closed;
  }

  private synchronized void leave() {
    thread = null;
  }

  /** The task after a change: looks for the next. */
  private void next() {
    stop();
    wake();
  }

  private void stop() {
    synchronized (this) {
      running = false;
      notifyAll();
      if (!closed) return;
    }
    observer.ended();
  }

  private void give(Change change) {
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
      observer.decided(snapshot, Outcome.OUTCOME_APPLIED, "");
    } else {
      observer.decided(snapshot, Outcome.OUTCOME_REJECTED, failure);
    }
  }
}
