package dev.confstream.client;

/**
 * Gets what happens to a {@link Watch}, for a log: connected, disconnected, stale, started over and
 * why. {@code System.getLogger("app")::log} is one. Called on threads of the client, by one watch
 * one at a time or nearly so; should return soon. What it throws is ignored.
 */
@FunctionalInterface
public interface LogHook {
  /**
   * Takes one line.
   *
   * @param level INFO: how it should be; WARNING: goes on, but not as it should; ERROR: the watch
   *     has ended
   * @param message one sentence, without control characters
   */
  void log(System.Logger.Level level, String message);
}
