package dev.confstream.client;

import dev.confstream.v1.ResponseHeader;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;

/**
 * The files of one version of a source, or of the part of it that is watched: whole, checked,
 * immutable.
 */
public final class Snapshot {
  private final ResponseHeader header;
  private final String viewDigest;
  private final SortedMap<String, SnapshotFile> files;
  private final List<String> missingGlobs;
  private final long skippedVersions;
  private final boolean fromCache;

  /** {@code files} cannot be modified any more, and is in the byte order of paths. */
  Snapshot(
      ResponseHeader header,
      String viewDigest,
      SortedMap<String, SnapshotFile> files,
      List<String> missingGlobs,
      long skippedVersions,
      boolean fromCache) {
    this.header = header;
    this.viewDigest = viewDigest;
    this.files = files;
    this.missingGlobs = List.copyOf(missingGlobs);
    this.skippedVersions = skippedVersions;
    this.fromCache = fromCache;
  }

  /** The same content, as a server that calls it current says it is now. */
  Snapshot withHeader(ResponseHeader moved) {
    return new Snapshot(moved, viewDigest, files, missingGlobs, skippedVersions, fromCache);
  }

  /**
   * What identifies the version, as the server said it: publish time, origin and more.
   *
   * @return the header; its version moves on without other content when only files outside of the
   *     view change
   */
  public ResponseHeader header() {
    return header;
  }

  /**
   * The version.
   *
   * @return from 1; comparable within one {@link #epoch} only
   */
  public long version() {
    return header.getVersion();
  }

  /**
   * The identity of the version history.
   *
   * @return 32 hex digits
   */
  public String epoch() {
    return header.getEpoch();
  }

  /**
   * The digest over {@link #files}; checked.
   *
   * @return {@code sha256:<hex>} of the text that {@code sha256sum} prints for the paths in byte
   *     order
   */
  public String viewDigest() {
    return viewDigest;
  }

  /**
   * All files.
   *
   * @return by path, in the byte order of paths; unmodifiable
   */
  public SortedMap<String, SnapshotFile> files() {
    return files;
  }

  /**
   * One file.
   *
   * @param path its path relative to the source
   * @return the file, or nothing if there is none
   */
  public Optional<SnapshotFile> file(String path) {
    return Optional.ofNullable(files.get(path));
  }

  /**
   * The globs that select nothing.
   *
   * @return those of {@link WatchOptions.Builder#pathGlobs} that select no file of this version
   */
  public List<String> missingGlobs() {
    return missingGlobs;
  }

  /**
   * How many versions of the view the server left out before this one, since this client was slow.
   *
   * @return 0 or more
   */
  public long skippedVersions() {
    return skippedVersions;
  }

  /** Whether this is the content of {@code other}, which may be null, whatever the versions. */
  boolean hasContentOf(Snapshot other) {
    return other != null && viewDigest.equals(other.viewDigest);
  }

  /** Whether the content was read from disk, be it confirmed by now or not. */
  boolean fromCache() {
    return fromCache;
  }

  @Override
  public String toString() {
    return "version " + version() + " of source " + header.getSource();
  }
}
