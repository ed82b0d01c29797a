package dev.confstream.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import dev.confstream.v1.ConfigFile;
import dev.confstream.v1.Delta;
import dev.confstream.v1.ResponseHeader;
import dev.confstream.v1.WatchResponse;
import dev.confstream.v1.WatchResponse.EventCase;
import io.grpc.Status;
import io.grpc.StatusException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Puts versions together from the messages of a watch, over as many streams as it takes, and checks
 * them. A version takes effect with its last fragment, or not at all. Not thread-safe.
 */
final class SnapshotAssembler {
  // Arrays of Java have no more elements.
  private static final long MOST_FILE_BYTES = Integer.MAX_VALUE - 8;

  /** For the names and types of a version's files, besides {@code maxBytes} for their content. */
  static final long MOST_OVERHEAD_BYTES = 64L << 20;

  private static final long OVERHEAD_OF_FILE = 200; // besides its content, path and type

  private final long maxBytes;
  private Snapshot held; // null: nothing yet
  private String resumeToken = ""; // stands for `held`
  private Pending pending; // null: between versions

  // Of the stream.
  private String epoch = "";
  private long version; // up to which it is complete, in `epoch`
  private boolean
      known; // whether the server knows what is held: from the token, or since it sent it
  private boolean
      confirmed; // whether the server has said, or sent, that what is held is what it has

  /** A version of which the last fragment has not come yet. */
  private static final class Pending {
    final WatchResponse first;
    final SortedMap<String, SnapshotFile> files = new TreeMap<>(Digests.BYTE_ORDER);
    final Set<String> removedPaths = new HashSet<>();
    long declaredBytes;
    long overhead;

    ConfigFile partial; // the first part of a file of which more is to come; null: none
    final List<ByteString> parts = new ArrayList<>();
    long partialBytes;

    Pending(WatchResponse first) {
      this.first = first;
    }
  }

  SnapshotAssembler(long maxBytes) {
    this.maxBytes = maxBytes;
  }

  /** The newest complete snapshot, or null. */
  Snapshot held() {
    return held;
  }

  long maxBytes() {
    return maxBytes;
  }

  String resumeToken() {
    return resumeToken;
  }

  /** True once the stream has brought what is held, or word that it is current. */
  boolean confirmed() {
    return confirmed;
  }

  /** The next stream is to bring everything anew. What is held stays. */
  void forgetToken() {
    resumeToken = "";
  }

  void beginStream() {
    pending = null;
    epoch = "";
    version = 0;
    known = !resumeToken.isEmpty();
    confirmed = false;
  }

  /** Begins with a copy from disk: one message with everything. Errors: as {@link #take}. */
  void restore(WatchResponse copy) throws StatusException {
    if (!copy.hasSnapshot() || copy.getMoreFragments()) throw wrong(copy, "it is not whole");
    take(copy);
    held =
        new Snapshot(
            held.header(),
            held.viewDigest(),
            held.files(),
            held.missingGlobs(),
            0,
            /* fromCache= */ true);
  }

  /**
   * Takes the next message of the stream.
   *
   * @return whether it completed a version
   * @throws StatusException DATA_LOSS if the message contradicts what came before it,
   *     RESOURCE_EXHAUSTED if the version is too large. What is held stays; the stream is not to be
   *     read any further
   */
  boolean take(WatchResponse message) throws StatusException {
    if (!message.hasSnapshot() && !message.hasDelta()) {
      moveOn(message);
      return false;
    }
    if (pending == null) {
      begin(message);
    } else {
      checkContinues(message);
    }
    List<ConfigFile> files =
        message.hasDelta()
            ? message.getDelta().getChangedFilesList()
            : message.getSnapshot().getFilesList();
    for (ConfigFile file : files) addPart(file);
    if (message.hasDelta()) addRemovals(message.getDelta());
    if (message.getMoreFragments()) return false;
    finish(message);
    return true;
  }

  private void moveOn(WatchResponse message) throws StatusException {
    if (pending != null) throw wrong(pending.first, "another message came between its fragments");
    ResponseHeader header = message.getHeader();
    if (header.getVersion() < 0) throw wrong(message, "versions begin at 1");
    boolean inSync = message.getInSync() && header.getVersion() != 0;
    if (inSync && (held == null || !known)) {
      throw wrong(message, "it is called in sync, but was never sent");
    }
    // Without content a token would claim what this client does not have.
    if (held == null || !known || header.getVersion() == 0) return;
    if (header.getEpoch().equals(epoch) && header.getVersion() < version) {
      throw wrong(message, "version " + version + " came before it");
    }
    confirmed |= inSync;
    if (!header.getResumeToken().isEmpty()) resumeToken = header.getResumeToken();
    epoch = header.getEpoch();
    version = header.getVersion();
    if (!epoch.equals(held.epoch()) || version != held.version()) held = held.withHeader(header);
  }

  private void begin(WatchResponse message) throws StatusException {
    ResponseHeader header = message.getHeader();
    if (header.getVersion() < 1) throw wrong(message, "versions begin at 1");
    if (header.getEpoch().equals(epoch) && header.getVersion() <= version) {
      throw wrong(message, "version " + version + " came before it");
    }
    if (message.hasDelta()) {
      long base = message.getDelta().getBaseVersion();
      if (held == null || !known || held.version() != base) {
        throw wrong(
            message, "it is a delta against version " + base + ", which is not the one held");
      }
    }
    pending = new Pending(message);
  }

  private void checkContinues(WatchResponse message) throws StatusException {
    WatchResponse first = pending.first;
    if (message.getEventCase() != first.getEventCase()
        || !message.getHeader().getEpoch().equals(first.getHeader().getEpoch())
        || message.getHeader().getVersion() != first.getHeader().getVersion()
        || !viewDigest(message).equals(viewDigest(first))
        || message.getDelta().getBaseVersion() != first.getDelta().getBaseVersion()) {
      throw wrong(first, "a fragment of something else came before its end");
    }
  }

  private void addPart(ConfigFile part) throws StatusException {
    if (pending.partial == null) {
      beginFile(part);
    } else if (!part.getPath().equals(pending.partial.getPath())
        || part.getSizeBytes() != pending.partial.getSizeBytes()
        || !part.getDigest().equals(pending.partial.getDigest())
        || part.getContentOffset() != pending.partialBytes) {
      throw wrong(
          pending.first,
          "after byte %d of file `%s` comes something else (`%s` from byte %d)"
              .formatted(
                  pending.partialBytes,
                  pending.partial.getPath(),
                  part.getPath(),
                  part.getContentOffset()));
    }
    pending.parts.add(part.getContent());
    pending.partialBytes += part.getContent().size();
    long size = pending.partial.getSizeBytes();
    if (pending.partialBytes > size) {
      throw wrong(
          pending.first, "file `%s` is longer than its %d bytes".formatted(part.getPath(), size));
    }
    if (pending.partialBytes == size) finishFile();
  }

  private void beginFile(ConfigFile part) throws StatusException {
    String path = part.getPath();
    if (path.isEmpty()) throw wrong(pending.first, "a file without a path");
    if (!pending.files.isEmpty()
        && Digests.BYTE_ORDER.compare(path, pending.files.lastKey()) <= 0) {
      throw wrong(
          pending.first, "file `%s` comes after `%s`".formatted(path, pending.files.lastKey()));
    }
    if (part.getContentOffset() != 0) {
      throw wrong(
          pending.first, "file `%s` begins at byte %d".formatted(path, part.getContentOffset()));
    }
    if (part.getSizeBytes() < 0)
      throw wrong(pending.first, "file `" + path + "` has a negative size");
    // Refused by what is announced, before it is here; a sum of two such numbers does not overflow.
    if (part.getSizeBytes() > Math.min(maxBytes, MOST_FILE_BYTES)) throw tooLarge();
    pending.declaredBytes += part.getSizeBytes();
    pending.overhead += overhead(path, part.getContentType());
    checkSize(pending.declaredBytes, pending.overhead);
    // What the first part carries is counted with the others; it is not to be held twice.
    pending.partial = part.toBuilder().clearContent().build();
    pending.partialBytes = 0;
  }

  private void finishFile() throws StatusException {
    ConfigFile file = pending.partial;
    ByteString content = pending.parts.get(0);
    if (pending.parts.size() > 1) {
      ByteBuffer whole = ByteBuffer.allocate((int) file.getSizeBytes());
      for (ByteString part : pending.parts) part.copyTo(whole);
      // Nobody else has the array.
      content = UnsafeByteOperations.unsafeWrap(whole.flip());
    }
    pending.partial = null;
    pending.parts.clear();
    String digest = Digests.of(content);
    if (!digest.equals(file.getDigest())) {
      throw wrong(
          pending.first,
          "the bytes of file `%s` have the digest %s, not %s"
              .formatted(file.getPath(), digest, file.getDigest()));
    }
    pending.files.put(
        file.getPath(),
        new SnapshotFile(
            file.getPath(), content, digest, file.getContentType(), file.getLastChangedVersion()));
  }

  private void addRemovals(Delta fragment) throws StatusException {
    for (String path : fragment.getRemovedPathsList()) {
      // This also bounds what is kept.
      if (!held.files().containsKey(path)) {
        throw wrong(pending.first, "it removes file `" + path + "`, which is not there");
      }
      pending.removedPaths.add(path);
    }
  }

  private void finish(WatchResponse last) throws StatusException {
    if (pending.partial != null) {
      throw wrong(last, "file `" + pending.partial.getPath() + "` ends before its last byte");
    }
    SortedMap<String, SnapshotFile> files = pending.files;
    if (last.hasDelta()) {
      files = new TreeMap<>(held.files());
      files.keySet().removeAll(pending.removedPaths);
      files.putAll(pending.files);
      long bytes = 0;
      long overhead = 0;
      for (SnapshotFile file : files.values()) {
        bytes += file.content().size();
        overhead += overhead(file.path(), file.contentType());
      }
      checkSize(bytes, overhead);
    }
    String digest = Digests.ofView(files.values());
    if (!digest.equals(viewDigest(last))) {
      throw wrong(last, "its files have the view digest " + digest + ", not " + viewDigest(last));
    }
    if (held != null && held.viewDigest().equals(digest)) {
      // No change: what is there already is kept, and what came is given up.
      held = held.withHeader(last.getHeader());
    } else {
      List<String> missingGlobs =
          last.hasDelta()
              ? last.getDelta().getMissingGlobsList()
              : last.getSnapshot().getMissingGlobsList();
      long skipped = pending.first.getSkippedVersions();
      SortedMap<String, SnapshotFile> fixed = Collections.unmodifiableSortedMap(files);
      held =
          new Snapshot(
              last.getHeader(), digest, fixed, missingGlobs, skipped, /* fromCache= */ false);
    }
    pending = null;
    resumeToken = held.header().getResumeToken();
    epoch = held.epoch();
    version = held.version();
    known = true;
    confirmed = true;
  }

  private static long overhead(String path, String contentType) {
    return OVERHEAD_OF_FILE + path.length() + contentType.length();
  }

  private void checkSize(long bytes, long overhead) throws StatusException {
    if (bytes > maxBytes || overhead > MOST_OVERHEAD_BYTES) throw tooLarge();
  }

  private StatusException tooLarge() {
    return Status.RESOURCE_EXHAUSTED
        .withDescription(
            "%s has more than the %d bytes that this client takes"
                .formatted(name(pending.first), maxBytes))
        .asException();
  }

  private static StatusException wrong(WatchResponse message, String what) {
    return Status.DATA_LOSS
        .withDescription("%s is wrong: %s".formatted(name(message), what))
        .asException();
  }

  private static String name(WatchResponse message) {
    ResponseHeader header = message.getHeader();
    return "version " + header.getVersion() + " of source " + header.getSource();
  }

  private static String viewDigest(WatchResponse message) {
    return message.getEventCase() == EventCase.DELTA
        ? message.getDelta().getViewDigest()
        : message.getSnapshot().getViewDigest();
  }
}
