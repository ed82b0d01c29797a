package dev.confstream.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.confstream.v1.ConfigFile;
import dev.confstream.v1.WatchResponse;
import io.grpc.StatusException;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.System.Logger.Level;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeSet;

/**
 * The last good snapshot of a view, in a file: a serialized WatchResponse, as every client of
 * Confstream writes it. What fails is logged; the watch goes on without. Not thread-safe.
 */
final class DiskCopy {
  private static final int VIEW_HEX_DIGITS = 16;
  private static final Duration LEFTOVER_AGE = Duration.ofMinutes(10);

  private final Path file;
  private final String source;
  private final LogHook log;

  /** Errors: IllegalArgumentException if {@code source} cannot be part of a file's name. */
  DiskCopy(Path directory, String source, List<String> globs, LogHook log) {
    if (source.isEmpty()
        || source.startsWith(".")
        || source.contains("/")
        || source.contains("\\")) {
      throw new IllegalArgumentException(
          "no file can have the name of the source `" + source + "`");
    }
    file = directory.resolve(source + "." + viewName(globs) + ".snapshot");
    this.source = source;
    this.log = log;
  }

  private static String viewName(List<String> globs) {
    TreeSet<String> sorted = new TreeSet<>(Digests.BYTE_ORDER);
    sorted.addAll(globs);
    MessageDigest digest = Digests.sha256();
    for (String glob : sorted) digest.update((glob + "\n").getBytes(UTF_8));
    return HexFormat.of().formatHex(digest.digest()).substring(0, VIEW_HEX_DIGITS);
  }

  /** Lets {@code assembler} hold what is on disk, if it is there and right. */
  void restore(SnapshotAssembler assembler) {
    removeLeftovers();
    try (InputStream in = open(assembler.maxBytes())) {
      WatchResponse copy = WatchResponse.parseFrom(in);
      if (!copy.getHeader().getSource().equals(source))
        throw new IOException("it is of another source");
      assembler.restore(copy);
    } catch (NoSuchFileException e) {
      // The first start.
    } catch (IOException | StatusException e) {
      log.log(Level.WARNING, "the copy in %s is not used: %s".formatted(file, e.getMessage()));
    }
  }

  private InputStream open(long maxBytes) throws IOException {
    BasicFileAttributes found = Files.readAttributes(file, BasicFileAttributes.class);
    // To open a FIFO would hold the program up.
    if (!found.isRegularFile()) throw new IOException("it is no file");
    if (found.size() - SnapshotAssembler.MOST_OVERHEAD_BYTES > maxBytes) {
      throw new IOException(
          "it has %d bytes, and at most %d are taken".formatted(found.size(), maxBytes));
    }
    return Files.newInputStream(file);
  }

  /** Removes what programs that were killed while they wrote have left, and nobody writes now. */
  private void removeLeftovers() {
    Path name = file.getFileName();
    try (var left = Files.newDirectoryStream(file.toAbsolutePath().getParent(), name + ".*.tmp")) {
      Instant youngest = Instant.now().minus(LEFTOVER_AGE);
      for (Path path : left) {
        if (Files.getLastModifiedTime(path).toInstant().isBefore(youngest))
          Files.deleteIfExists(path);
      }
    } catch (IOException | DirectoryIteratorException e) {
      // There is no directory yet, or somebody else has removed it.
    }
  }

  /** Replaces the file, so that whatever happens there is the old copy or the new one, whole. */
  void write(Snapshot snapshot) {
    try {
      Path directory = file.toAbsolutePath().getParent();
      Files.createDirectories(directory);
      // Its owner alone may read it, by the default of this method.
      Path temporary = Files.createTempFile(directory, file.getFileName() + ".", ".tmp");
      try {
        try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
          OutputStream out = new BufferedOutputStream(Channels.newOutputStream(channel), 1 << 16);
          message(snapshot).writeTo(out);
          out.flush();
          channel.force(true);
        }
        Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(temporary);
      }
      try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
        channel.force(true);
      }
    } catch (IOException | RuntimeException e) {
      log.log(Level.WARNING, "the copy in %s cannot be written: %s".formatted(file, e));
    }
  }

  private static WatchResponse message(Snapshot snapshot) {
    WatchResponse.Builder message = WatchResponse.newBuilder().setHeader(snapshot.header());
    message
        .getSnapshotBuilder()
        .setViewDigest(snapshot.viewDigest())
        .addAllMissingGlobs(snapshot.missingGlobs());
    for (SnapshotFile file : snapshot.files().values()) {
      message
          .getSnapshotBuilder()
          .addFiles(
              ConfigFile.newBuilder()
                  .setPath(file.path())
                  .setContent(file.content())
                  .setSizeBytes(file.content().size())
                  .setDigest(file.digest())
                  .setContentType(file.contentType())
                  .setLastChangedVersion(file.lastChangedVersion()));
    }
    return message.build();
  }
}
