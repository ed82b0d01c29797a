package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.confstream.v1.WatchResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiskCopyTest {
  private static final Map<String, String> FILES = Map.of("a.yaml", "one", "b.yaml", "two");
  // printf '' | sha256sum
  private static final String ALL_FILES = "demo.e3b0c44298fc1c14.snapshot";

  @TempDir Path directory;
  private final List<String> log = new ArrayList<>();
  private final SnapshotAssembler assembler = new SnapshotAssembler(1000);

  private DiskCopy copy(String... globs) {
    return new DiskCopy(
        directory, "demo", List.of(globs), (level, message) -> log.add(level + " " + message));
  }

  private static Snapshot received(long version, Map<String, String> files) throws Exception {
    SnapshotAssembler assembler = new SnapshotAssembler(1000);
    assembler.take(Messages.snapshot(version, files));
    return assembler.held();
  }

  private List<String> names() throws Exception {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  @Test
  void isReadAsItWasWritten() throws Exception {
    copy().write(received(3, FILES));
    copy().restore(assembler);
    assertEquals(3, assembler.held().version());
    assertEquals("two", assembler.held().file("b.yaml").orElseThrow().text());
    assertTrue(assembler.held().fromCache());
    assertEquals("token-3", assembler.resumeToken());
    assertEquals(List.of(), log);
  }

  @Test
  void isOneFileOfTheOwnersInTheSharedFormat() throws Exception {
    copy().write(received(3, FILES));
    copy().write(received(4, FILES));
    assertEquals(List.of(ALL_FILES), names());
    Path file = directory.resolve(ALL_FILES);
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    WatchResponse message = WatchResponse.parseFrom(Files.readAllBytes(file));
    assertEquals(Messages.header(4), message.getHeader());
    assertEquals(Messages.snapshot(4, FILES).getSnapshot(), message.getSnapshot());
  }

  @Test
  void nameIsOfTheGlobsWhateverTheirOrder() throws Exception {
    copy("b", "a", "b").write(received(1, FILES));
    // printf 'a\nb\n' | sha256sum
    assertEquals(List.of("demo.911169ddaaf146af.snapshot"), names());
  }

  @Test
  void noCopyIsNoTrouble() {
    copy().restore(assembler);
    assertNull(assembler.held());
    assertEquals(List.of(), log);
  }

  @Test
  void wrongCopiesAreLeftAloneAndLogged() throws Exception {
    WatchResponse right = Messages.snapshot(1, FILES);
    WatchResponse.Builder lie = right.toBuilder();
    lie.getSnapshotBuilder().setViewDigest(Messages.viewDigest(Map.of()));
    WatchResponse.Builder other = right.toBuilder();
    other.getHeaderBuilder().setSource("other");
    byte[][] contents = {
      "not a message".getBytes(java.nio.charset.StandardCharsets.UTF_8),
      right.toByteString().substring(0, right.getSerializedSize() / 2).toByteArray(),
      {},
      lie.build().toByteArray(),
      other.build().toByteArray(),
      right.toBuilder().setMoreFragments(true).build().toByteArray(),
    };
    Path file = directory.resolve(ALL_FILES);
    for (byte[] content : contents) {
      Files.write(file, content);
      log.clear();
      copy().restore(assembler);
      assertNull(assembler.held());
      assertEquals(1, log.size(), log::toString);
      assertTrue(log.get(0).startsWith("WARNING"), log::toString);
      assertTrue(Files.exists(file));
    }
  }

  @Test
  void whatCannotBeWrittenIsLoggedAndLeavesTheOldCopy() throws Exception {
    copy().write(received(1, FILES));
    Path notADirectory = directory.resolve(ALL_FILES);
    new DiskCopy(notADirectory, "demo", List.of(), (level, message) -> log.add(message))
        .write(received(2, FILES));
    assertEquals(1, log.size());
    copy().restore(assembler);
    assertEquals(1, assembler.held().version());
  }

  @Test
  void directoryIsMadeIfItIsMissing() throws Exception {
    Path deep = directory.resolve("cache/confstream");
    new DiskCopy(deep, "demo", List.of(), (level, message) -> log.add(message))
        .write(received(1, FILES));
    assertTrue(Files.exists(deep.resolve(ALL_FILES)), log::toString);
  }

  @Test
  void sourceThatWouldLeaveTheDirectoryIsRefused() {
    for (String source : List.of("", "../x", "a/b", ".hidden")) {
      assertThrows(
          IllegalArgumentException.class,
          () -> new DiskCopy(directory, source, List.of(), (level, message) -> {}));
    }
    assertFalse(Files.exists(directory.resolveSibling("x")));
  }
}
