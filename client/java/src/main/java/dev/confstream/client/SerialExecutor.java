package dev.confstream.client;

import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;

/**
 * Runs tasks one at a time, in order, on threads borrowed from a pool. What only such tasks touch
 * needs no lock: each task sees what those before it wrote. Thread-safe.
 */
final class SerialExecutor implements Executor {
  private final Executor pool;
  private final Queue<Runnable> tasks =
      new ArrayDeque<>(); // guarded by itself, as the two below are
  private boolean running;
  private Thread thread; // the one that runs tasks, if one does

  SerialExecutor(Executor pool) {
    this.pool = pool;
  }

  @Override
  public void execute(Runnable task) {
    synchronized (tasks) {
      tasks.add(task);
      if (running) return;
      running = true;
    }
    try {
      pool.execute(this::drain);
    } catch (RejectedExecutionException e) {
      drain(); // the client is closed: what is left is to see that, and nobody is to wait for it in
      // vain
    }
  }

  /** Whether the calling thread is in one of the tasks. */
  boolean isCurrent() {
    synchronized (tasks) {
      return thread == Thread.currentThread();
    }
  }

  private void drain() {
    while (true) {
      Runnable task;
      synchronized (tasks) {
        task = tasks.poll();
        running = task != null;
        thread = running ? Thread.currentThread() : null;
        if (!running) return;
      }
      try {
        task.run();
      } catch (Throwable e) { // a mistake in this package; the tasks behind it are not to suffer
        Thread current = Thread.currentThread();
        current.getUncaughtExceptionHandler().uncaughtException(current, e);
      }
    }
  }
}
