package dev.confstream.client;

import java.util.Optional;

/** From one snapshot to the next one that the program was given. Immutable. */
public final class Change {
  private final Snapshot oldSnapshot; // null at first
  private final Snapshot newSnapshot;

  Change(Snapshot oldSnapshot, Snapshot newSnapshot) {
    this.oldSnapshot = oldSnapshot;
    this.newSnapshot = newSnapshot;
  }

  /**
   * What the program was given before.
   *
   * @return nothing if this is the first
   */
  public Optional<Snapshot> oldSnapshot() {
    return Optional.ofNullable(oldSnapshot);
  }

  /**
   * What to use from now on.
   *
   * @return the snapshot
   */
  public Snapshot newSnapshot() {
    return newSnapshot;
  }

  /**
   * Whether the new snapshot comes from the copy on disk: the last that worked, as far as was known
   * when it was written.
   *
   * @return false if it was received from the server
   */
  public boolean fromCache() {
    return newSnapshot.fromCache();
  }

  @Override
  public String toString() {
    return "change to " + newSnapshot;
  }
}
