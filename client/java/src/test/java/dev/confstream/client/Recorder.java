package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A program that notes all it is told. */
final class Recorder implements ChangeListener, WatchEvents {
  private static final int PATIENCE_SECONDS = 60;

  final BlockingQueue<Change> changes = new LinkedBlockingQueue<>();
  final BlockingQueue<String> events = new LinkedBlockingQueue<>();
  final List<Duration> delays = new CopyOnWriteArrayList<>();
  final List<String> log = new CopyOnWriteArrayList<>();

  /** Options with a heartbeat of a second, which bring everything here. */
  WatchOptions.Builder options() {
    return WatchOptions.builder()
        .heartbeat(Duration.ofSeconds(1))
        .onChange(this)
        .events(this)
        .log((level, message) -> log.add(level + " " + message));
  }

  @Override
  public void onChange(Change change) throws Exception {
    changes.add(change);
  }

  @Override
  public void onStale() {
    events.add("stale");
  }

  @Override
  public void onFresh() {
    events.add("fresh");
  }

  @Override
  public void onDisconnected(Status status, Duration retryIn) {
    delays.add(retryIn);
    events.add("disconnected " + status.getCode());
  }

  @Override
  public void onEnded(Status status) {
    events.add("ended " + status.getCode());
  }

  Change nextChange() throws InterruptedException {
    Change change = changes.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    assertNotNull(change, () -> "no change; log: " + log);
    return change;
  }

  void expectNoChangeFor(long millis) throws InterruptedException {
    assertNull(changes.poll(millis, TimeUnit.MILLISECONDS), "a change too many");
  }

  void expectEvent(String event) throws InterruptedException {
    assertEquals(event, events.poll(PATIENCE_SECONDS, TimeUnit.SECONDS), () -> "log: " + log);
  }

  /** A server that is killed may have the time to say CANCELLED. */
  void expectDisconnected() throws InterruptedException {
    String event = events.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    assertTrue(event != null && event.startsWith("disconnected "), () -> event + "; log: " + log);
  }

  boolean logHas(String text) {
    return log.stream().anyMatch(line -> line.contains(text));
  }
}
