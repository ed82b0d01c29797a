package dev.confstream.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.ByteString;
import io.grpc.Status;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;

/**
 * The driver of tests/conformance for this client; docs/clients.md says what it takes and prints.
 */
final class Conformance {
  private final PrintStream out =
      new PrintStream(new FileOutputStream(FileDescriptor.out), true, UTF_8);

  private String target;
  private String source;
  private final List<String> globs = new ArrayList<>();
  private Duration wait = Duration.ofSeconds(30);
  private String reject;
  private long slowMillis;
  private final WatchOptions.Builder options = WatchOptions.builder();

  private final CountDownLatch waited = new CountDownLatch(1);
  private final CompletableFuture<Watch> running = new CompletableFuture<>();

  public static void main(String[] args) throws Exception {
    Conformance driver = new Conformance();
    try {
      driver.parse(args);
    } catch (IllegalArgumentException e) {
      System.err.println("conformance: " + e.getMessage());
      System.exit(2);
    }
    driver.run();
  }

  private void parse(String[] args) {
    for (int i = 0; i < args.length; i += 2) {
      if (i + 1 == args.length) throw new IllegalArgumentException(args[i] + " needs a value");
      set(args[i], args[i + 1]);
    }
    if (target == null || source == null) {
      throw new IllegalArgumentException("--target and --source are needed");
    }
    options.pathGlobs(globs.toArray(String[]::new));
  }

  private void set(String flag, String value) {
    switch (flag) {
      case "--target" -> target = value;
      case "--source" -> source = value;
      case "--glob" -> globs.add(value);
      case "--mode" -> options.mode(mode(value));
      case "--heartbeat" -> options.heartbeat(seconds(value));
      case "--cache-dir" -> options.cacheDirectory(Path.of(value));
      case "--max-bytes" -> options.maxBytes(Long.parseLong(value));
      case "--wait" -> wait = seconds(value);
      case "--reject" -> reject = value;
      case "--slow" -> slowMillis = Long.parseLong(value);
      default -> throw new IllegalArgumentException(flag + " is not known");
    }
  }

  private static WatchOptions.Mode mode(String value) {
    return switch (value) {
      case "snapshot" -> WatchOptions.Mode.SNAPSHOT;
      case "delta" -> WatchOptions.Mode.DELTA;
      default -> throw new IllegalArgumentException("--mode is snapshot or delta, not " + value);
    };
  }

  private static Duration seconds(String value) {
    return Duration.ofMillis(Math.round(Double.parseDouble(value) * 1000));
  }

  private void run() throws IOException {
    options
        .clientId("conformance-java")
        .log((level, message) -> System.err.println(level + " " + message))
        .onChange(this::take)
        .events(new Events());
    try (ConfstreamClient client = ConfstreamClient.connect(target);
        Watch watch = client.watch(source, options.build())) {
      running.complete(watch);
      Thread waiter = new Thread(() -> await(watch), "wait");
      waiter.setDaemon(true);
      waiter.start();
      obey(watch);
    }
    print("closed", Map.of());
  }

  /** Returns when told to close. */
  private void obey(Watch watch) throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    for (String line = in.readLine(); line != null && !line.equals("close"); line = in.readLine()) {
      if (line.equals("current")) {
        Optional<Long> version = watch.current().map(Snapshot::version);
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("version", version.orElse(null));
        fields.put("stale", watch.stale());
        print("current", fields);
      }
    }
  }

  private void await(Watch watch) {
    try {
      Snapshot snapshot = watch.await(wait);
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("version", snapshot.version());
      fields.put("stale", watch.stale());
      print("settled", fields);
    } catch (Exception e) {
      print("wait_failed", Map.of("message", e.toString()));
    } finally {
      waited.countDown();
    }
  }

  private void take(Change change) throws InterruptedException {
    Snapshot snapshot = change.newSnapshot();
    Map<String, Object> files = new LinkedHashMap<>();
    snapshot.files().forEach((path, file) -> files.put(path, Digests.of(file.content())));
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("version", snapshot.version());
    fields.put("epoch", snapshot.epoch());
    fields.put("view_digest", snapshot.viewDigest());
    fields.put("files", files);
    fields.put("old_version", change.oldSnapshot().map(Snapshot::version).orElse(null));
    fields.put("from_cache", change.fromCache());
    fields.put("missing_globs", snapshot.missingGlobs());
    print("change", fields);
    Thread.sleep(slowMillis);
    if (reject == null) return;
    for (SnapshotFile file : snapshot.files().values()) {
      if (contains(file.content(), reject))
        throw new IllegalArgumentException("rejected: " + reject);
    }
  }

  private static boolean contains(ByteString content, String text) {
    // Every byte is one character of this charset.
    String bytes = content.toString(java.nio.charset.StandardCharsets.ISO_8859_1);
    return bytes.contains(
        new String(text.getBytes(UTF_8), java.nio.charset.StandardCharsets.ISO_8859_1));
  }

  private final class Events implements WatchEvents {
    @Override
    public void onStale() {
      print("stale", Map.of());
    }

    @Override
    public void onFresh() {
      print("fresh", Map.of());
    }

    @Override
    public void onDisconnected(Status status, Duration retryIn) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("code", status.getCode().name());
      fields.put("retry_ms", retryIn.toMillis());
      print("disconnected", fields);
    }

    @Override
    public void onEnded(Status status) {
      new Thread(() -> end(status), "end").start();
    }
  }

  private void end(Status status) {
    boolean stale = running.join().stale();
    print("ended", Map.of("code", status.getCode().name(), "stale", stale));
    try {
      waited.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    System.exit(0);
  }

  private synchronized void print(String event, Map<String, Object> fields) {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("event", event);
    line.putAll(fields);
    StringBuilder json = new StringBuilder();
    appendJson(line, json);
    out.println(json);
  }

  private static void appendJson(Object value, StringBuilder json) {
    if (value instanceof Map<?, ?> map) {
      String separator = "{";
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        json.append(separator);
        appendJson(entry.getKey(), json);
        json.append(':');
        appendJson(entry.getValue(), json);
        separator = ",";
      }
      json.append(map.isEmpty() ? "{}" : "}");
    } else if (value instanceof List<?> list) {
      String separator = "[";
      for (Object element : list) {
        json.append(separator);
        appendJson(element, json);
        separator = ",";
      }
      json.append(list.isEmpty() ? "[]" : "]");
    } else if (value instanceof String text) {
      json.append('"');
      for (char c : text.toCharArray()) {
        if (c == '"' || c == '\\') json.append('\\').append(c);
        else if (c < ' ') json.append("\\u%04x".formatted((int) c));
        else json.append(c);
      }
      json.append('"');
    } else {
      json.append(value);
    }
  }
}
