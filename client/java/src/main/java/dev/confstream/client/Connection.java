package dev.confstream.client;

import io.grpc.ChannelCredentials;
import io.grpc.ConnectivityState;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/** The channel to one server, and a new one when that has failed. Thread-safe. */
final class Connection implements AutoCloseable {
  private static final int KEEPALIVE_SECONDS = 20; // servers allow a ping every 10 s
  private static final int KEEPALIVE_TIMEOUT_SECONDS = 10;
  private static final int CLOSE_SECONDS = 5;
  private static final int MOST_MESSAGE_BYTES = 64 << 20; // promise 11; by default it is 4 MiB

  private static final String UNIX = "unix:";
  // A name or IPv4 address, or an IPv6 address in brackets; and a port.
  private static final Pattern HOST_AND_PORT =
      Pattern.compile("([^\\[\\]:/\\s]+|\\[[0-9a-fA-F:.]+]):(\\d{1,5})");

  private final String target;
  private final ChannelCredentials credentials;
  private final Executor executor;
  private ManagedChannel channel; // guarded by this

  /**
   * Connects when the first call is made. Errors: IllegalArgumentException if that is no address.
   */
  Connection(String address, ChannelCredentials credentials, Executor executor) {
    target = target(address);
    this.credentials = credentials;
    this.executor = executor;
    channel = newChannel();
  }

  private static String target(String address) {
    if (address.startsWith(UNIX) && address.length() > UNIX.length()) {
      Path path = Path.of(address.substring(UNIX.length())).toAbsolutePath();
      try {
        return new URI("unix", null, path.toString(), null).toString();
      } catch (URISyntaxException e) {
        throw new IllegalArgumentException("`" + address + "` is no path of a socket", e);
      }
    }
    var matcher = HOST_AND_PORT.matcher(address);
    if (matcher.matches()) {
      int port = Integer.parseInt(matcher.group(2));
      // With its scheme, so that no host name is taken for one; a URI has no brackets there.
      if (port > 0 && port < 65536)
        return "dns:///" + address.replace("[", "%5B").replace("]", "%5D");
    }
    throw new IllegalArgumentException(
        "the server address `"
            + address
            + "` is neither host:port, such as 127.0.0.1:50051 or [::1]:50051, nor unix:/PATH");
  }

  private ManagedChannel newChannel() {
    ManagedChannelBuilder<?> builder =
        Grpc.newChannelBuilder(target, credentials)
            .executor(executor)
            .offloadExecutor(executor)
            .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEPALIVE_TIMEOUT_SECONDS, TimeUnit.SECONDS)
            .maxInboundMessageSize(MOST_MESSAGE_BYTES)
            // The server is on this node or this network: the JVM's proxy is not meant for it.
            .proxyDetector(server -> null);
    // A path is no host name for the :authority header.
    if (target.startsWith(UNIX)) builder.overrideAuthority("localhost");
    return builder.build();
  }

  synchronized ManagedChannel channel() {
    return channel;
  }

  /**
   * A stream on {@code used} has ended. A channel that cannot connect tries again by a backoff of
   * its own, of up to two minutes, and meanwhile fails all calls: the next stream is to try at
   * once. Calls on the old one go on.
   */
  synchronized void replaceIfUnconnected(ManagedChannel used) {
    ConnectivityState state = used.getState(false);
    if (used != channel || used.isShutdown()) return;
    if (state == ConnectivityState.READY || state == ConnectivityState.IDLE) return;
    channel = newChannel();
    used.shutdown();
  }

  /** Ends all calls, and waits until that is done, though not for long. */
  @Override
  public void close() {
    ManagedChannel last = channel().shutdownNow();
    try {
      last.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
