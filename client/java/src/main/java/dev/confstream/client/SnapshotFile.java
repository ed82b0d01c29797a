package dev.confstream.client;

import com.google.protobuf.ByteString;

/**
 * One file of a {@link Snapshot}. Immutable. Its bytes are shared by all snapshots for which they
 * were received once.
 *
 * @param path path relative to the source, components separated by {@code /}
 * @param content the bytes
 * @param digest {@code sha256:<hex>} of the bytes; checked
 * @param contentType media type by the file's name, such as {@code application/yaml}
 * @param lastChangedVersion the version in which this content was first published, in the current
 *     epoch
 */
public record SnapshotFile(
    String path, ByteString content, String digest, String contentType, long lastChangedVersion) {

  /**
   * The content as text.
   *
   * @return the content decoded as UTF-8; malformed bytes are replaced
   */
  public String text() {
    return content.toStringUtf8();
  }
}
