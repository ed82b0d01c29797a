package dev.confstream.client;

import java.time.Duration;
import java.util.random.RandomGenerator;

/**
 * How long to wait before trying again: any time between nothing and a bound that doubles with each
 * failure, so that clients that lost their server together do not come back together. Not
 * thread-safe.
 */
final class Backoff {
  static final Duration FIRST = Duration.ofMillis(100);
  static final Duration MOST = Duration.ofSeconds(10);

  private final RandomGenerator random;
  private Duration bound = FIRST;

  Backoff(RandomGenerator random) {
    this.random = random;
  }

  /** The time to wait after one more failure. */
  Duration next() {
    Duration delay = Duration.ofNanos((long) (random.nextDouble() * bound.toNanos()));
    Duration doubled = bound.multipliedBy(2);
    bound = doubled.compareTo(MOST) < 0 ? doubled : MOST;
    return delay;
  }

  /** It worked: the next failure is the first again. */
  void reset() {
    bound = FIRST;
  }
}
