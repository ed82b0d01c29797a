package dev.confstream.client;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** What does not need a server; WatchTest has the rest. */
class OutcomeReporterTest {
  @Test
  void reasonsAreCutBetweenCharacters() {
    assertEquals("short", OutcomeReporter.reasonText("short"));
    assertEquals("x".repeat(1024), OutcomeReporter.reasonText("x".repeat(1024)));
    assertEquals("x".repeat(1024), OutcomeReporter.reasonText("x".repeat(1025)));
    // 1023 bytes, and a character of three.
    assertEquals("x".repeat(1023), OutcomeReporter.reasonText("x".repeat(1023) + "€uro"));
    assertEquals(
        1024, OutcomeReporter.reasonText("x".repeat(1021) + "€uro").getBytes(UTF_8).length);
  }
}
