package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class ConnectionTest {
  @Test
  void addressesOfTheContractAreTaken() {
    for (String address :
        List.of(
            "127.0.0.1:50051", "localhost:1", "[::1]:50051", "unix:/run/x.sock", "unix:x.sock")) {
      ConfstreamClient.connect(address).close();
    }
  }

  @Test
  void whatIsNoAddressIsRefusedWithAnExample() {
    for (String address :
        List.of(
            "",
            "localhost",
            "localhost:0",
            "localhost:65536",
            "::1:5",
            "unix:",
            "a b:1",
            "http://a:1")) {
      IllegalArgumentException refused =
          assertThrows(IllegalArgumentException.class, () -> ConfstreamClient.connect(address));
      assertTrue(refused.getMessage().contains("127.0.0.1:50051"), refused.getMessage());
    }
  }
}
