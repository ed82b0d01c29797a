package dev.confstream.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import dev.confstream.v1.ConfigFile;
import dev.confstream.v1.Delta;
import dev.confstream.v1.Heartbeat;
import dev.confstream.v1.ResponseHeader;
import dev.confstream.v1.Snapshot;
import dev.confstream.v1.SourceState;
import dev.confstream.v1.SourceStatus;
import dev.confstream.v1.Violation;
import dev.confstream.v1.WatchResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Messages as a server sends them. */
final class Messages {
  static final String EPOCH = "0123456789abcdef0123456789abcdef";

  private Messages() {}

  static ResponseHeader header(long version) {
    return ResponseHeader.newBuilder()
        .setSource("demo")
        .setEpoch(EPOCH)
        .setVersion(version)
        .setResumeToken("token-" + version)
        .build();
  }

  static ConfigFile file(String path, String content) {
    ByteString bytes = ByteString.copyFromUtf8(content);
    return ConfigFile.newBuilder()
        .setPath(path)
        .setContent(bytes)
        .setSizeBytes(bytes.size())
        .setDigest(Digests.of(bytes))
        .setContentType("text/plain")
        .build();
  }

  private static List<ConfigFile> files(Map<String, String> contents) {
    Map<String, String> sorted = new TreeMap<>(Digests.BYTE_ORDER);
    sorted.putAll(contents);
    List<ConfigFile> files = new ArrayList<>();
    sorted.forEach((path, content) -> files.add(file(path, content)));
    return files;
  }

  static String viewDigest(Map<String, String> contents) {
    List<SnapshotFile> files = new ArrayList<>();
    for (ConfigFile file : files(contents)) {
      files.add(new SnapshotFile(file.getPath(), file.getContent(), file.getDigest(), "", 0));
    }
    return Digests.ofView(files);
  }

  static WatchResponse snapshot(long version, Map<String, String> contents) {
    return WatchResponse.newBuilder()
        .setInSync(true)
        .setHeader(header(version))
        .setSnapshot(
            Snapshot.newBuilder().addAllFiles(files(contents)).setViewDigest(viewDigest(contents)))
        .build();
  }

  /** {@code after} are all files that there are in the end. */
  static WatchResponse delta(
      long base,
      long version,
      Map<String, String> changed,
      List<String> removed,
      Map<String, String> after) {
    return WatchResponse.newBuilder()
        .setInSync(true)
        .setHeader(header(version))
        .setDelta(
            Delta.newBuilder()
                .setBaseVersion(base)
                .addAllChangedFiles(files(changed))
                .addAllRemovedPaths(removed)
                .setViewDigest(viewDigest(after)))
        .build();
  }

  /** Cuts the only file of {@code whole} after each {@code size} bytes, a fragment each. */
  static List<WatchResponse> fragments(WatchResponse whole, int size) {
    ConfigFile file = whole.getSnapshot().getFiles(0);
    List<WatchResponse> fragments = new ArrayList<>();
    for (int from = 0; from < file.getContent().size(); from += size) {
      int to = Math.min(from + size, file.getContent().size());
      WatchResponse.Builder fragment =
          whole.toBuilder().setMoreFragments(to < file.getContent().size());
      fragment.setInSync(!fragment.getMoreFragments());
      fragment
          .getSnapshotBuilder()
          .setFiles(
              0,
              file.toBuilder()
                  .setContent(file.getContent().substring(from, to))
                  .setContentOffset(from));
      fragments.add(fragment.build());
    }
    return fragments;
  }

  static WatchResponse inSync(long version) {
    return WatchResponse.newBuilder()
        .setInSync(true)
        .setHeader(header(version))
        .setHeartbeat(Heartbeat.getDefaultInstance())
        .build();
  }

  /** Its header does not parse, in whose place there are other bytes. */
  static WatchResponse garbage() {
    return WatchResponse.newBuilder()
        .setUnknownFields(
            UnknownFieldSet.newBuilder()
                .addField(
                    WatchResponse.HEADER_FIELD_NUMBER,
                    UnknownFieldSet.Field.newBuilder()
                        .addLengthDelimited(ByteString.copyFromUtf8("garbage"))
                        .build())
                .build())
        .build();
  }

  static WatchResponse waiting() {
    return WatchResponse.newBuilder()
        .setHeader(ResponseHeader.newBuilder().setSource("demo").setEpoch(EPOCH))
        .setSourceStatus(
            SourceStatus.newBuilder()
                .setState(SourceState.SOURCE_STATE_WAITING)
                .addViolations(
                    Violation.newBuilder().setPath("a.yaml").setMessage("no such thing")))
        .build();
  }
}
