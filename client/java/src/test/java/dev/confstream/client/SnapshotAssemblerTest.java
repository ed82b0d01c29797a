package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import dev.confstream.v1.ConfigFile;
import dev.confstream.v1.WatchResponse;
import io.grpc.Status;
import io.grpc.StatusException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class SnapshotAssemblerTest {
  private static final Map<String, String> FILES = Map.of("a.yaml", "one", "b.yaml", "two");

  private final SnapshotAssembler assembler = new SnapshotAssembler(1000);

  @BeforeEach
  void beginStream() {
    assembler.beginStream();
  }

  private void expectRefused(Status.Code code, String text, WatchResponse message) {
    Snapshot before = assembler.held();
    StatusException refused = assertThrows(StatusException.class, () -> assembler.take(message));
    assertEquals(code, refused.getStatus().getCode());
    assertTrue(refused.getStatus().getDescription().contains(text), refused.getMessage());
    assertSame(before, assembler.held());
  }

  private void expectWrong(String text, WatchResponse message) {
    expectRefused(Status.Code.DATA_LOSS, text, message);
  }

  @Test
  void snapshotIsHeldWithItsTokenAndDigests() throws Exception {
    assertTrue(assembler.take(Messages.snapshot(7, FILES)));
    Snapshot held = assembler.held();
    assertEquals(7, held.version());
    assertEquals(Messages.EPOCH, held.epoch());
    assertEquals(List.of("a.yaml", "b.yaml"), List.copyOf(held.files().keySet()));
    assertEquals("one", held.file("a.yaml").orElseThrow().text());
    assertEquals(Messages.viewDigest(FILES), held.viewDigest());
    assertEquals("token-7", assembler.resumeToken());
    assertThrows(UnsupportedOperationException.class, () -> held.files().clear());
  }

  @Test
  void versionTakesEffectWithItsLastFragment() throws Exception {
    List<WatchResponse> fragments =
        Messages.fragments(Messages.snapshot(1, Map.of("a", "0123456789")), 4);
    assertEquals(3, fragments.size());
    assertFalse(assembler.take(fragments.get(0)));
    assertFalse(assembler.take(fragments.get(1)));
    assertNull(assembler.held());
    assertEquals("", assembler.resumeToken());
    assertTrue(assembler.take(fragments.get(2)));
    assertEquals("0123456789", assembler.held().file("a").orElseThrow().text());
  }

  @Test
  void fragmentsOutOfOrderAreRefused() throws Exception {
    List<WatchResponse> fragments =
        Messages.fragments(Messages.snapshot(1, Map.of("a", "0123456789")), 4);
    assembler.take(fragments.get(0));
    expectWrong("after byte 4 of file `a`", fragments.get(2));
  }

  @Test
  void messagesBetweenFragmentsAreRefused() throws Exception {
    assembler.take(Messages.snapshot(1, FILES));
    List<WatchResponse> fragments =
        Messages.fragments(Messages.snapshot(2, Map.of("a", "0123456789")), 4);
    assembler.take(fragments.get(0));
    expectWrong("another message", Messages.inSync(1));
    expectWrong("a fragment of something else", Messages.snapshot(3, FILES));
  }

  @Test
  void endBeforeTheLastByteIsRefused() throws Exception {
    List<WatchResponse> fragments =
        Messages.fragments(Messages.snapshot(1, Map.of("a", "0123456789")), 4);
    expectWrong(
        "ends before its last byte", fragments.get(0).toBuilder().setMoreFragments(false).build());
  }

  @Test
  void deltaChangesAddsAndRemoves() throws Exception {
    assembler.take(Messages.snapshot(1, FILES));
    Map<String, String> after = Map.of("b.yaml", "new", "c.yaml", "three");
    assertTrue(assembler.take(Messages.delta(1, 2, after, List.of("a.yaml"), after)));
    assertEquals(List.of("b.yaml", "c.yaml"), List.copyOf(assembler.held().files().keySet()));
    assertEquals("new", assembler.held().file("b.yaml").orElseThrow().text());
  }

  @Test
  void filesThatADeltaLeavesAreShared() throws Exception {
    assembler.take(Messages.snapshot(1, FILES));
    ByteString before = assembler.held().file("a.yaml").orElseThrow().content();
    Map<String, String> after = Map.of("a.yaml", "one", "b.yaml", "new");
    assembler.take(Messages.delta(1, 2, Map.of("b.yaml", "new"), List.of(), after));
    assertSame(before, assembler.held().file("a.yaml").orElseThrow().content());
  }

  @Test
  void deltaOnAnotherBaseIsRefused() throws Exception {
    expectWrong("delta against version 1", Messages.delta(1, 2, FILES, List.of(), FILES));
    assembler.take(Messages.snapshot(3, FILES));
    expectWrong("delta against version 2", Messages.delta(2, 4, FILES, List.of(), FILES));
  }

  @Test
  void deltaThatRemovesWhatIsNotThereIsRefused() throws Exception {
    assembler.take(Messages.snapshot(1, FILES));
    expectWrong("`x`, which is not there", Messages.delta(1, 2, Map.of(), List.of("x"), FILES));
  }

  @Test
  void wrongDigestOfViewIsRefused() throws Exception {
    assembler.take(Messages.snapshot(1, FILES));
    WatchResponse.Builder lie = Messages.snapshot(2, Map.of("a", "b")).toBuilder();
    lie.getSnapshotBuilder().setViewDigest(Messages.viewDigest(FILES));
    expectWrong("view digest", lie.build());
    beginStream();
    expectWrong("view digest", Messages.delta(1, 2, Map.of("c", "d"), List.of(), FILES));
  }

  @Test
  void wrongDigestOfFileIsRefused() {
    WatchResponse.Builder lie = Messages.snapshot(1, FILES).toBuilder();
    ConfigFile file = lie.getSnapshot().getFiles(0);
    lie.getSnapshotBuilder()
        .setFiles(0, file.toBuilder().setContent(ByteString.copyFromUtf8("eno")));
    expectWrong("the bytes of file `a.yaml`", lie.build());
  }

  @Test
  void filesOutOfOrderAreRefused() {
    WatchResponse.Builder wrong = Messages.snapshot(1, FILES).toBuilder();
    wrong.getSnapshotBuilder().addFiles(Messages.file("a.yaml", "again"));
    expectWrong("`a.yaml` comes after `b.yaml`", wrong.build());
  }

  @Test
  void versionThatDoesNotIncreaseOnTheStreamIsRefused() throws Exception {
    assembler.take(Messages.snapshot(5, FILES));
    expectWrong("version 5 came before it", Messages.snapshot(5, Map.of("a", "b")));
    assembler.take(Messages.inSync(6));
    expectWrong("version 6 came before it", Messages.snapshot(6, Map.of("a", "b")));
    beginStream();
    assertTrue(assembler.take(Messages.snapshot(5, Map.of("a", "b"))), "on another stream it may");
  }

  @Test
  void sameContentIsTheSameSnapshotWithAnotherHeader() throws Exception {
    assembler.take(Messages.snapshot(1, FILES));
    Snapshot before = assembler.held();
    assembler.take(Messages.snapshot(2, FILES));
    assertEquals(2, assembler.held().version());
    assertSame(before.files(), assembler.held().files());
    assembler.take(Messages.inSync(3));
    assertEquals(3, assembler.held().version());
    assertEquals("token-3", assembler.resumeToken());
    assertSame(before.files(), assembler.held().files());
    Map<String, String> after = Map.of("a.yaml", "one");
    assertTrue(assembler.take(Messages.delta(3, 4, Map.of(), List.of("b.yaml"), after)));
  }

  @Test
  void inSyncWithoutContentIsRefused() throws Exception {
    expectWrong("never sent", Messages.inSync(1));
    assembler.take(Messages.snapshot(1, FILES));
    assembler.forgetToken();
    beginStream();
    expectWrong("never sent", Messages.inSync(1));
  }

  @Test
  void resumedStreamConfirmsWhatIsHeld() throws Exception {
    assembler.take(Messages.snapshot(1, FILES));
    assertTrue(assembler.confirmed());
    beginStream();
    assertFalse(assembler.confirmed());
    assembler.take(Messages.inSync(1));
    assertTrue(assembler.confirmed());
  }

  @Test
  void unknownEventCountsByItsHeaderAndItsWordOfCurrency() throws Exception {
    assembler.take(Messages.snapshot(1, FILES));
    beginStream();
    WatchResponse unknown =
        WatchResponse.newBuilder()
            .setHeader(Messages.header(9))
            .setInSync(true)
            .setUnknownFields(
                UnknownFieldSet.newBuilder()
                    .addField(
                        200,
                        UnknownFieldSet.Field.newBuilder()
                            .addLengthDelimited(ByteString.EMPTY)
                            .build())
                    .build())
            .build();
    assertFalse(assembler.take(unknown));
    assertEquals("token-9", assembler.resumeToken());
    assertEquals(9, assembler.held().version());
    assertTrue(assembler.confirmed());
  }

  @Test
  void tooLargeVersionIsRefusedByWhatItAnnounces() {
    ConfigFile first = Messages.file("a", "0123").toBuilder().setSizeBytes(1001).build();
    WatchResponse.Builder message = Messages.snapshot(1, FILES).toBuilder().setMoreFragments(true);
    message.getSnapshotBuilder().clearFiles().addFiles(first);
    expectRefused(Status.Code.RESOURCE_EXHAUSTED, "1000 bytes", message.build());
    beginStream();
    expectRefused(
        Status.Code.RESOURCE_EXHAUSTED,
        "1000 bytes",
        Messages.snapshot(1, Map.of("a", "x".repeat(600), "b", "x".repeat(401))));
  }

  @Test
  void deltaThatMakesItTooLargeIsRefused() throws Exception {
    assembler.take(Messages.snapshot(1, Map.of("a", "x".repeat(600))));
    Map<String, String> after = Map.of("a", "x".repeat(600), "b", "x".repeat(401));
    expectRefused(
        Status.Code.RESOURCE_EXHAUSTED,
        "1000 bytes",
        Messages.delta(1, 2, Map.of("b", "x".repeat(401)), List.of(), after));
  }

  @Test
  void deltaThatMakesTheNamesTooLongIsRefused() throws Exception {
    Map<String, String> before = new TreeMap<>();
    Map<String, String> after = new TreeMap<>();
    for (int i = 0; i < 80; i++) {
      String path = i + "x".repeat(1 << 20);
      after.put(path, "");
      if (i < 40) before.put(path, "");
    }
    assembler.take(Messages.snapshot(1, before));
    Map<String, String> changed = new TreeMap<>(after);
    changed.keySet().removeAll(before.keySet());
    expectRefused(
        Status.Code.RESOURCE_EXHAUSTED,
        "more than",
        Messages.delta(1, 2, changed, List.of(), after));
  }

  @Test
  void emptyFilesAndEmptyViewsAreContent() throws Exception {
    assembler.take(Messages.snapshot(1, Map.of("empty", "")));
    assertEquals("", assembler.held().file("empty").orElseThrow().text());
    assertTrue(assembler.take(Messages.delta(1, 2, Map.of(), List.of("empty"), Map.of())));
    assertEquals(Map.of(), assembler.held().files());
  }
}
