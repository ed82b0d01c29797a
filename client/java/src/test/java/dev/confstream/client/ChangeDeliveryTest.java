package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import org.junit.jupiter.api.Test;

/** What needs a thread that comes late; WatchTest has the rest. */
class ChangeDeliveryTest {
  private final Queue<Runnable> pool = new ArrayDeque<>();
  private final List<String> changes = new ArrayList<>();
  private Snapshot newest;

  private ChangeDelivery delivery() {
    return new ChangeDelivery(
        pool::add,
        () -> newest,
        change ->
            changes.add(change.newSnapshot().version() + (change.fromCache() ? " from cache" : "")),
        null,
        (snapshot, outcome, reason) -> {},
        (level, message) -> {});
  }

  private static SnapshotAssembler fromDisk(long version, String content) throws Exception {
    SnapshotAssembler assembler = new SnapshotAssembler(1000);
    assembler.restore(Messages.snapshot(version, Map.of("a", content)));
    assembler.beginStream();
    return assembler;
  }

  @Test
  void copyFromDiskIsGivenFirstThoughTheServerWasFaster() throws Exception {
    SnapshotAssembler assembler = fromDisk(1, "one");
    newest = assembler.held();
    ChangeDelivery delivery = delivery();
    delivery.wake();
    assembler.take(Messages.snapshot(2, Map.of("a", "two")));
    newest = assembler.held();
    delivery.wake();
    assertEquals(1, pool.size(), "one at a time");
    pool.remove().run();
    assertEquals(List.of("1 from cache", "2"), changes);
  }

  @Test
  void contentThatGoesAndComesBackWhileNobodyLooksIsNoChange() throws Exception {
    SnapshotAssembler assembler = fromDisk(1, "one");
    newest = assembler.held();
    ChangeDelivery delivery = delivery();
    delivery.wake();
    pool.remove().run();
    assembler.take(Messages.snapshot(2, Map.of("a", "two")));
    newest = assembler.held();
    delivery.wake();
    assembler.take(Messages.snapshot(3, Map.of("a", "one")));
    newest = assembler.held();
    delivery.wake();
    pool.remove().run();
    assertEquals(List.of("1 from cache"), changes);
  }

  @Test
  void nothingIsGivenAfterTheEnd() throws Exception {
    newest = fromDisk(1, "one").held();
    ChangeDelivery delivery = delivery();
    delivery.wake();
    delivery.close(false);
    pool.remove().run();
    assertEquals(List.of(), changes);
  }
}
