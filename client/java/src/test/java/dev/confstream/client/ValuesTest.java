package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import java.util.List;
import org.junit.jupiter.api.Test;

class ValuesTest {
  record Limits(int maxAmount, List<String> currencies) {}

  private static SnapshotFile file(String contentType, String content) {
    return new SnapshotFile("limits", ByteString.copyFromUtf8(content), "", contentType, 1);
  }

  @Test
  void yamlAndJsonBecomeValues() {
    Limits limits = new Limits(5, List.of("EUR", "CHF"));
    assertEquals(
        limits,
        Values.read(
            file("application/yaml", "maxAmount: 5\ncurrencies: [EUR, CHF]\n"), Limits.class));
    assertEquals(
        limits,
        Values.read(
            file("application/json", "{\"maxAmount\": 5, \"currencies\": [\"EUR\", \"CHF\"]}"),
            Limits.class));
    assertEquals(5, Values.tree(file("application/yaml", "a: {b: 5}")).at("/a/b").asInt());
  }

  @Test
  void whatIsMalformedIsRefusedWithItsPlace() {
    IllegalArgumentException refused =
        assertThrows(
            IllegalArgumentException.class,
            () -> Values.tree(file("application/json", "{\n  \"a\": }")));
    assertTrue(refused.getMessage().startsWith("limits:2:"), refused.getMessage());
    assertThrows(
        IllegalArgumentException.class,
        () -> Values.read(file("application/yaml", "maxAmount: many"), Limits.class));
  }
}
