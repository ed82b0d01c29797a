package dev.confstream.client;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.confstream.v1.Outcome;
import dev.confstream.v1.ReportOutcomeRequest;
import dev.confstream.v1.WatchResponse;
import io.grpc.Status;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Runs the examples, and sees that README.md shows them as they are. */
@Timeout(180)
class ExamplesTest {
  @TempDir Path directory;

  @Test
  void readmeShowsTheExamplesAsTheyAre() throws Exception {
    String readme = Files.readString(Path.of("README.md"));
    Matcher block = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL).matcher(readme);
    String examples =
        withoutIndent(Files.readString(Path.of("examples/FirstWatch.java")))
            + withoutIndent(Files.readString(Path.of("examples/PaymentsService.java")));
    int blocks = 0;
    while (block.find()) {
      assertTrue(examples.contains(withoutIndent(block.group(1))), block.group(1));
      blocks++;
    }
    assertEquals(2, blocks);
  }

  private static String withoutIndent(String text) {
    return text.lines().map(line -> line.strip() + "\n").reduce("", String::concat);
  }

  /** Runs the main method of an example in a thread. The future is what ended it, or null. */
  private static CompletableFuture<Throwable> run(String example, String... args) throws Exception {
    Method main = Class.forName(example).getDeclaredMethod("main", String[].class);
    main.setAccessible(true);
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            main.invoke(null, (Object) args);
            return null;
          } catch (InvocationTargetException e) {
            return e.getCause();
          } catch (IllegalAccessException e) {
            return e;
          }
        });
  }

  @Test
  void firstWatchPrintsFilesAndVersions() throws Exception {
    PrintStream out = System.out;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    System.setOut(new PrintStream(printed, true, UTF_8));
    try (ScriptedServer server = new ScriptedServer()) {
      CompletableFuture<Throwable> ended = run("FirstWatch", server.address());
      ScriptedServer.Stream stream = server.nextStream();
      stream.send(Messages.snapshot(1, Map.of("a.yaml", "one")));
      while (!printed.toString(UTF_8).contains("version 1")) Thread.sleep(10);
      stream.send(Messages.snapshot(2, Map.of("a.yaml", "two"))).end(Status.NOT_FOUND);
      assertEquals(
          Status.Code.NOT_FOUND, Status.fromThrowable(ended.get(20, TimeUnit.SECONDS)).getCode());
    } finally {
      System.setOut(out);
    }
    assertEquals("a.yaml\nnow at version 1\nnow at version 2\n", printed.toString(UTF_8));
  }

  @Test
  void paymentsServiceTakesWhatIsRightAndRefusesWhatIsWrong() throws Exception {
    InputStream in = System.in;
    PipedOutputStream keys = new PipedOutputStream();
    System.setIn(new PipedInputStream(keys));
    try (ScriptedServer server = new ScriptedServer()) {
      CompletableFuture<Throwable> ended =
          run("PaymentsService", server.address(), directory.toString());
      ScriptedServer.Stream stream = server.nextStream();
      stream.send(limits(1, "maxAmount: -1\ncurrency: EUR\n"));
      ReportOutcomeRequest rejected = server.nextReport();
      assertEquals(Outcome.OUTCOME_REJECTED, rejected.getOutcome());
      assertEquals("maxAmount is not positive", rejected.getReason());
      assertEquals(0, directory.toFile().list().length);
      stream.send(limits(2, "maxAmount: 500\ncurrency: EUR\n"));
      assertEquals(Outcome.OUTCOME_APPLIED, server.nextReport().getOutcome());
      assertEquals(1, directory.toFile().list().length);
      keys.write('\n');
      keys.close();
      assertEquals(null, ended.get(20, TimeUnit.SECONDS));
    } finally {
      System.setIn(in);
    }
  }

  private static WatchResponse limits(long version, String content) {
    return Messages.snapshot(version, Map.of("limits.yaml", content));
  }
}
