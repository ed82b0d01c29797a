import dev.confstream.client.ConfstreamClient;
import java.time.Duration;

class FirstWatch {
  public static void main(String[] args) throws Exception {
    try (var client = ConfstreamClient.connect(args[0]);
        var watch = client.watch("demo")) {
      watch.await(Duration.ofSeconds(10)).files().keySet().forEach(System.out::println);
      for (var change : watch.changes()) {
        System.out.println("now at version " + change.newSnapshot().version());
      }
    }
  }
}
