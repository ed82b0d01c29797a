package dev.confstream.client;

import java.util.Iterator;
import java.util.NoSuchElementException;

/** Waits for one change after the other. Not thread-safe. */
final class ChangeIterator implements Iterator<Change> {
  private final WatchState state;
  private Snapshot last; // null: none yet
  private Change next; // null: to be waited for

  ChangeIterator(WatchState state) {
    this.state = state;
  }

  @Override
  public boolean hasNext() {
    if (next != null) return true;
    Snapshot other;
    try {
      other = state.awaitOther(last);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
    if (other == null) return false;
    next = new Change(last, other);
    last = other;
    return true;
  }

  @Override
  public Change next() {
    if (!hasNext()) throw new NoSuchElementException("the watch is closed");
    Change change = next;
    next = null;
    return change;
  }
}
