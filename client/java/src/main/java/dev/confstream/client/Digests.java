package dev.confstream.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.ByteString;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;

/** Digests and the order of paths, as the API defines them. */
final class Digests {
  private static final String PREFIX = "sha256:";

  /**
   * The byte order of UTF-8, which is that of code points. Java's own differs where a character
   * above U+FFFF, which begins with a surrogate, meets one from U+E000 on.
   */
  static final Comparator<String> BYTE_ORDER = Digests::compare;

  private Digests() {}

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  static String text(MessageDigest digest) {
    return PREFIX + HexFormat.of().formatHex(digest.digest());
  }

  static String of(ByteString content) {
    MessageDigest digest = sha256();
    content.asReadOnlyByteBufferList().forEach(digest::update);
    return text(digest);
  }

  /**
   * The digest of a view: that of what sha256sum prints for {@code files}, which are in byte order.
   */
  static String ofView(Iterable<SnapshotFile> files) {
    MessageDigest digest = sha256();
    for (SnapshotFile file : files) digest.update(sha256sumLine(file).getBytes(UTF_8));
    return text(digest);
  }

  private static String sha256sumLine(SnapshotFile file) {
    String hex = file.digest().substring(PREFIX.length());
    String path = file.path();
    String escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r");
    // sha256sum marks a line with a leading backslash when it has to escape the name.
    return (escaped.equals(path) ? "" : "\\") + hex + "  " + escaped + "\n";
  }

  private static int compare(String a, String b) {
    int common = Math.min(a.length(), b.length());
    for (int i = 0; i < common; i++) {
      char x = a.charAt(i);
      char y = b.charAt(i);
      if (x == y) continue;
      if (Character.isSurrogate(x) != Character.isSurrogate(y))
        return Character.isSurrogate(x) ? 1 : -1;
      return Character.compare(x, y);
    }
    return Integer.compare(a.length(), b.length());
  }
}
