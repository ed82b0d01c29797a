package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.junit.jupiter.api.Test;

class BackoffTest {
  /** Draws the highest number below 1. */
  private static final RandomGenerator HIGHEST =
      new RandomGenerator() {
        @Override
        public long nextLong() {
          return -1;
        }
      };

  @Test
  void boundDoublesFrom100MsTo10SAndStartsOver() {
    Backoff backoff = new Backoff(HIGHEST);
    for (long bound : new long[] {100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000}) {
      long drawn = backoff.next().toNanos();
      assertTrue(drawn <= bound * 1_000_000 && drawn > bound * 999_000, drawn + " of " + bound);
    }
    backoff.reset();
    assertEquals(100, Math.round(backoff.next().toNanos() / 1e6));
  }

  @Test
  void anyTimeBelowTheBoundIsDrawn() {
    Set<Long> tenths = new HashSet<>();
    for (int seed = 0; seed < 200; seed++) {
      Duration delay = new Backoff(new SplittableRandom(seed)).next();
      tenths.add(delay.toMillis() / 10);
    }
    assertEquals(10, tenths.size());
  }
}
