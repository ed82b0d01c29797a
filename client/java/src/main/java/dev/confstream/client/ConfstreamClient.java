package dev.confstream.client;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * One connection to one Confstream server, shared by any number of watches. Thread-safe.
 *
 * <p>All threads are daemons. One waits for timers; others, at most two for each watch, live only
 * while a message is taken or a callback runs, and for some seconds after that.
 */
public final class ConfstreamClient implements AutoCloseable {
  private static final int IDLE_THREAD_SECONDS = 5;

  // Tasks are short but for callbacks, of which each watch has one at a time: none waits for a
  // thread.
  private final ExecutorService pool =
      new ThreadPoolExecutor(
          0,
          Integer.MAX_VALUE,
          IDLE_THREAD_SECONDS,
          TimeUnit.SECONDS,
          new SynchronousQueue<>(),
          daemons("confstream-worker"));
  private final ScheduledThreadPoolExecutor timer =
      new ScheduledThreadPoolExecutor(1, daemons("confstream-timer"));
  private final Connection connection;
  private final Set<Watch> watches = ConcurrentHashMap.newKeySet();
  private final AtomicBoolean closed = new AtomicBoolean();

  private ConfstreamClient(String address, ChannelCredentials credentials) {
    connection = new Connection(address, credentials, pool);
    timer.setRemoveOnCancelPolicy(true);
  }

  /**
   * Makes a client without TLS. It connects when something is watched, and the server may be away
   * until then and after.
   *
   * @param address {@code host:port}, {@code [v6]:port} or {@code unix:/path}
   * @return a client to be closed
   * @throws IllegalArgumentException if {@code address} is none of these
   */
  public static ConfstreamClient connect(String address) {
    return connect(address, InsecureChannelCredentials.create());
  }

  /**
   * Makes a client with gRPC's credentials, for example {@link io.grpc.TlsChannelCredentials}.
   *
   * @param address {@code host:port}, {@code [v6]:port} or {@code unix:/path}
   * @param credentials how to secure the connection
   * @return a client to be closed
   * @throws IllegalArgumentException if {@code address} is none of these
   */
  public static ConfstreamClient connect(String address, ChannelCredentials credentials) {
    return new ConfstreamClient(address, credentials);
  }

  /**
   * Watches all files of a source, with all defaults.
   *
   * @param source name of the source
   * @return a watch to be closed, by the client at the latest
   * @throws IllegalStateException if the client is closed
   */
  public Watch watch(String source) {
    return watch(source, WatchOptions.builder().build());
  }

  /**
   * Watches a source. Reads the copy on disk if there is to be one; does not wait for the server.
   *
   * @param source name of the source
   * @param options what to watch of it, and how
   * @return a watch to be closed, by the client at the latest
   * @throws IllegalStateException if the client is closed
   * @throws IllegalArgumentException if there is to be a copy on disk, and no file can have the
   *     name of the source
   */
  public Watch watch(String source, WatchOptions options) {
    if (closed.get()) throw new IllegalStateException("the client is closed");
    Watch watch = new Watch(source, options, connection, pool, timer, watches::remove);
    watches.add(watch);
    watch.start();
    // close() may have looked before this watch was there.
    if (closed.get()) watch.close();
    return watch;
  }

  /**
   * Closes all watches as {@link Watch#close} does, and the connection. Does nothing if it was done
   * before. gRPC's own threads, which all channels of a program share, end a second later if no
   * other channel uses them.
   */
  @Override
  public void close() {
    if (!closed.compareAndSet(false, true)) return;
    watches.forEach(Watch::close);
    connection.close();
    timer.shutdownNow();
    pool.shutdown();
  }

  private static ThreadFactory daemons(String name) {
    return task -> {
      Thread thread = new Thread(task, name);
      thread.setDaemon(true);
      return thread;
    };
  }
}
