import dev.confstream.client.ConfstreamClient;
import dev.confstream.client.Snapshot;
import dev.confstream.client.Values;
import dev.confstream.client.WatchEvents;
import dev.confstream.client.WatchOptions;
import io.grpc.Status;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

/** A service that parses its limits, refuses what is wrong, and starts while the server is away. */
class PaymentsService {
  record Limits(int maxAmount, String currency) {}

  private volatile Limits limits;

  /** What this throws, rejects the version: the limits stay as they are. */
  private void use(Snapshot snapshot) {
    Limits read = Values.read(snapshot.file("limits.yaml").orElseThrow(), Limits.class);
    if (read.maxAmount() <= 0) throw new IllegalArgumentException("maxAmount is not positive");
    limits = read;
    System.out.println(read + " from version " + snapshot.version());
  }

  /** Arguments: the address of the server, a directory for the copy on disk. */
  public static void main(String[] args) throws Exception {
    PaymentsService service = new PaymentsService();
    WatchOptions options =
        WatchOptions.builder()
            .pathGlobs("limits.yaml")
            .labels(Map.of("zone", "a"))
            .cacheDirectory(Path.of(args[1]))
            .log(System.getLogger("confstream")::log)
            .onChange(change -> service.use(change.newSnapshot()))
            .events(
                new WatchEvents() {
                  @Override
                  public void onEnded(Status status) {
                    System.out.println("nobody follows any more: " + status.getCode());
                  }
                })
            .build();
    try (var client = ConfstreamClient.connect(args[0]);
        var watch = client.watch("payments", options)) {
      watch.await(Duration.ofSeconds(10));
      System.out.println(watch.stale() ? "started with the copy on disk" : "started");
      System.in.read(); // serve until somebody presses return
    }
  }
}
