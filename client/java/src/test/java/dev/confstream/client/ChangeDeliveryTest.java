package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.confstream.v1.Outcome;
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
  private final List<String> told = new ArrayList<>();
  private Snapshot newest;

  private ChangeDelivery delivery() {
    return new ChangeDelivery(
        Runnable::run,
        pool::add,
        () -> newest,
        change ->
            changes.add(change.newSnapshot().version() + (change.fromCache() ? " from cache" : "")),
        null,
        new ChangeDelivery.Observer() {
          @Override
          public void begun() {
            told.add("begun");
          }

          @Override
          public void decided(Snapshot snapshot, Outcome outcome, String reason) {
            told.add("decided " + snapshot.version());
          }

          @Override
          public void ended() {
            told.add("ended");
          }
        },
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
    pool.remove().run();
    assertEquals(List.of("1 from cache", "2"), changes);
  }

  @Test
  void contentThatGoesAndComesBackWhileTheCallbackRunsIsNoChange() throws Exception {
    SnapshotAssembler assembler = fromDisk(1, "one");
    newest = assembler.held();
    ChangeDelivery delivery = delivery();
    delivery.wake();
    assembler.take(Messages.snapshot(2, Map.of("a", "two")));
    newest = assembler.held();
    delivery.wake();
    assembler.take(Messages.snapshot(3, Map.of("a", "one")));
    newest = assembler.held();
    delivery.wake();
    pool.remove().run();
    assertEquals(List.of("1 from cache"), changes);
    assertEquals(List.of(), List.copyOf(pool));
  }

  @Test
  void decisionsAreForgottenInTheTaskThatChoosesAChange() throws Exception {
    SnapshotAssembler assembler = fromDisk(1, "one");
    newest = assembler.held();
    ChangeDelivery delivery = delivery();
    delivery.wake();
    assertEquals(List.of("begun"), told, "before there is a thread");
    assembler.take(Messages.snapshot(2, Map.of("a", "two")));
    newest = assembler.held();
    pool.remove().run();
    assertEquals(List.of("begun", "decided 1", "begun"), told);
  }

  @Test
  void endComesAfterTheCallback() throws Exception {
    newest = fromDisk(1, "one").held();
    ChangeDelivery delivery = delivery();
    delivery.wake();
    delivery.close(false);
    assertEquals(List.of("begun"), told);
    pool.remove().run();
    assertEquals(List.of("begun", "ended"), told);
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
