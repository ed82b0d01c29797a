package dev.confstream.client;

import io.grpc.Status;
import java.time.Duration;

/**
 * Gets what happens to a {@link Watch} besides its changes. Set it with {@link
 * WatchOptions.Builder#events}. Calls come one at a time, in order, on a thread of the client; they
 * should return soon, since the watch waits for them. What they throw is logged.
 */
public interface WatchEvents {
  /**
   * Nothing was heard of the server for three heartbeats, or the copy came from disk: it may be out
   * of date.
   */
  default void onStale() {}

  /** The copy was stale, and the server has settled it. */
  default void onFresh() {}

  /**
   * A stream ended, unasked; it is opened again.
   *
   * @param status why
   * @param retryIn the time until the next try
   */
  default void onDisconnected(Status status, Duration retryIn) {}

  /**
   * The watch has ended by itself, with an error that comes back until somebody changes the request
   * or the server: NOT_FOUND, INVALID_ARGUMENT, OUT_OF_RANGE, FAILED_PRECONDITION,
   * PERMISSION_DENIED, UNAUTHENTICATED or UNIMPLEMENTED. What is held stays held.
   *
   * @param status why
   */
  default void onEnded(Status status) {}
}
