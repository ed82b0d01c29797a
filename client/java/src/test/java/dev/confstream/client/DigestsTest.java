package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.ByteString;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class DigestsTest {
  private static SnapshotFile file(String path, String content) {
    ByteString bytes = ByteString.copyFromUtf8(content);
    return new SnapshotFile(path, bytes, Digests.of(bytes), "", 0);
  }

  @Test
  void digestOfBytesIsThatOfSha256sum() {
    assertEquals(
        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        Digests.of(ByteString.copyFromUtf8("hello")));
  }

  @Test
  void digestOfViewIsThatOfTheTextOfSha256sum() {
    // printf 1 >a; printf 2 >'b\c'; sha256sum a 'b\c' | sha256sum
    assertEquals(
        "sha256:20a7c18390a5f468ad0ecf0de1849a8b806596026fb896ac2cd595f2e0aa9605",
        Digests.ofView(List.of(file("a", "1"), file("b\\c", "2"))));
    assertEquals(
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        Digests.ofView(List.of()));
  }

  @Test
  void orderOfPathsIsThatOfTheirBytes() {
    List<String> paths =
        List.of("", "a", "a/b", "a0", "b", "é", "\uE000", "\uFFFD", "\uD800\uDC00", "\uDBFF\uDFFF");
    Stream<String> byBytes =
        paths.stream()
            .sorted(
                (a, b) ->
                    Arrays.compareUnsigned(
                        a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8)));
    List<String> sorted = new ArrayList<>(paths);
    java.util.Collections.reverse(sorted);
    sorted.sort(Digests.BYTE_ORDER);
    assertEquals(byBytes.toList(), sorted);
  }
}
