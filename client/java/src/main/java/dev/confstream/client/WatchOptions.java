package dev.confstream.client;

import dev.confstream.v1.WatchMode;
import dev.confstream.v1.WatchRequest;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** What to watch of a source, and how. Immutable; made by {@link #builder}. */
public final class WatchOptions {
  /** How changes are sent. */
  public enum Mode {
    /** Every change as a whole snapshot. */
    SNAPSHOT,
    /** Only what has changed, where that is possible and smaller. */
    DELTA
  }

  /** Without `source` and `resume_token`. */
  final WatchRequest request;

  final Duration heartbeat;
  final Path cacheDirectory; // null: no copy on disk
  final long maxBytes;
  final LogHook log;
  final ChangeListener listener; // null: none
  final WatchEvents events;

  private WatchOptions(Builder builder) {
    WatchRequest.Builder request =
        WatchRequest.newBuilder()
            .addAllPathGlobs(builder.pathGlobs)
            .setMode(
                builder.mode == Mode.DELTA
                    ? WatchMode.WATCH_MODE_DELTA
                    : WatchMode.WATCH_MODE_SNAPSHOT)
            .setHeartbeatInterval(toProto(builder.heartbeat))
            .setClientId(builder.clientId)
            .putAllLabels(builder.labels);
    if (!builder.minUpdateInterval.isZero()) {
      request.setMinUpdateInterval(toProto(builder.minUpdateInterval));
    }
    this.request = request.build();
    heartbeat = builder.heartbeat;
    cacheDirectory = builder.cacheDirectory;
    maxBytes = builder.maxBytes;
    listener = builder.listener;
    LogHook hook = builder.log;
    log =
        (level, message) -> {
          try {
            // Servers are quoted in messages: no text of theirs begins a line of the program's log.
            hook.log(level, message.replaceAll("\\p{Cc}", "?"));
          } catch (Throwable e) {
            // There is no place left to say so, and the watch is not to suffer.
          }
        };
    events = builder.events;
  }

  /**
   * Begins with all defaults: all files, as deltas, a heartbeat each 30 s, no callback, no copy on
   * disk.
   *
   * @return a new builder
   */
  public static Builder builder() {
    return new Builder();
  }

  private static com.google.protobuf.Duration toProto(Duration duration) {
    return com.google.protobuf.Duration.newBuilder()
        .setSeconds(duration.getSeconds())
        .setNanos(duration.getNano())
        .build();
  }

  /** The main class or jar that this program was started with. */
  private static String programName() {
    String command = System.getProperty("sun.java.command", "").split(" ", 2)[0];
    String name = command.substring(command.lastIndexOf('/') + 1);
    return name.isEmpty() || name.length() > 64 ? "java" : name;
  }

  /** Makes {@link WatchOptions}. Not thread-safe. */
  public static final class Builder {
    private static final Duration LEAST_HEARTBEAT = Duration.ofSeconds(1);
    private static final Duration MOST_INTERVAL = Duration.ofHours(1);

    private List<String> pathGlobs = List.of();
    private Mode mode = Mode.DELTA;
    private Duration heartbeat = Duration.ofSeconds(30);
    private Duration minUpdateInterval = Duration.ZERO;
    private String clientId = programName();
    private Map<String, String> labels = Map.of();
    private Path cacheDirectory;
    private long maxBytes = 1L << 30;
    private LogHook log = (level, message) -> {};
    private ChangeListener listener;
    private WatchEvents events = new WatchEvents() {};

    private Builder() {}

    /**
     * Selects files by their relative paths; without globs, all.
     *
     * @param globs at most 64; {@code *} matches within one path component, {@code **} across
     *     components, {@code \} makes the next character literal
     * @return this
     */
    public Builder pathGlobs(String... globs) {
      pathGlobs = List.of(globs);
      return this;
    }

    /**
     * Sets how changes are sent; {@link Mode#DELTA} unless set.
     *
     * @param mode snapshots or deltas
     * @return this
     */
    public Builder mode(Mode mode) {
      this.mode = Objects.requireNonNull(mode);
      return this;
    }

    /**
     * Sets after which silence the server sends a heartbeat; 30 s unless set. After three of them
     * without a message the copy is stale.
     *
     * @param interval from 1 s to 1 h
     * @return this
     * @throws IllegalArgumentException if it is not in these bounds
     */
    public Builder heartbeat(Duration interval) {
      if (interval.compareTo(LEAST_HEARTBEAT) < 0 || interval.compareTo(MOST_INTERVAL) > 0) {
        throw new IllegalArgumentException(
            "a heartbeat of " + interval + " is not from 1 s to 1 h");
      }
      heartbeat = interval;
      return this;
    }

    /**
     * Sets the least time between two versions; what comes in between is skipped. No limit unless
     * set.
     *
     * @param interval from 0 to 1 h; 0: no limit
     * @return this
     * @throws IllegalArgumentException if it is not in these bounds
     */
    public Builder minUpdateInterval(Duration interval) {
      if (interval.isNegative() || interval.compareTo(MOST_INTERVAL) > 0) {
        throw new IllegalArgumentException(
            "a least update interval of " + interval + " is not from 0 to 1 h");
      }
      minUpdateInterval = interval;
      return this;
    }

    /**
     * Sets what operators see in {@code confstream who}; the program's main class or jar unless
     * set.
     *
     * @param id at most 256 bytes
     * @return this
     */
    public Builder clientId(String id) {
      clientId = Objects.requireNonNull(id);
      return this;
    }

    /**
     * Sets more of what operators see, for example pod and namespace; none unless set.
     *
     * @param labels at most 16, keys and values of at most 256 bytes
     * @return this
     */
    public Builder labels(Map<String, String> labels) {
      this.labels = Map.copyOf(labels);
      return this;
    }

    /**
     * Keeps the last good snapshot on disk, so that the program starts while the server is away; no
     * copy unless set. What is sensitive does not belong there.
     *
     * @param directory is made if it is missing; programs and views may share it
     * @return this
     */
    public Builder cacheDirectory(Path directory) {
      cacheDirectory = Objects.requireNonNull(directory);
      return this;
    }

    /**
     * Sets the most content that a version may have; what has more is refused before it is
     * assembled, and asked for again. 1 GiB unless set.
     *
     * @param bytes 1 or more; a single file never has more than 2 GiB
     * @return this
     * @throws IllegalArgumentException if it is less than 1
     */
    public Builder maxBytes(long bytes) {
      if (bytes < 1) throw new IllegalArgumentException("at most " + bytes + " bytes are too few");
      maxBytes = bytes;
      return this;
    }

    /**
     * Sets where to log; nowhere unless set.
     *
     * @param hook for example {@code System.getLogger("app")::log}
     * @return this
     */
    public Builder log(LogHook hook) {
      log = Objects.requireNonNull(hook);
      return this;
    }

    /**
     * Sets the callback for changes; none unless set.
     *
     * @param listener gets the copy on disk first, if there is one
     * @return this
     */
    public Builder onChange(ChangeListener listener) {
      this.listener = Objects.requireNonNull(listener);
      return this;
    }

    /**
     * Sets who is told of everything else that happens; nobody unless set.
     *
     * @param events gets what happens from the start
     * @return this
     */
    public Builder events(WatchEvents events) {
      this.events = Objects.requireNonNull(events);
      return this;
    }

    /**
     * Makes the options.
     *
     * @return options that later calls to this builder do not change
     */
    public WatchOptions build() {
      return new WatchOptions(this);
    }
  }
}
