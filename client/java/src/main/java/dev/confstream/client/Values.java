package dev.confstream.client;

import java.util.function.Function;
import tools.jackson.core.JacksonException;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.dataformat.yaml.YAMLMapper;

/**
 * Parses files with Jackson. Optional: nothing else of this package needs Jackson; a program that
 * uses this class depends on {@code tools.jackson.dataformat:jackson-dataformat-yaml}. Thread-safe.
 *
 * <p>Parse in the {@link ChangeListener}: what it throws rejects the version.
 */
public final class Values {
  // YAML takes JSON, too, but not all of it, and more slowly.
  private static final ObjectMapper JSON = new JsonMapper();
  private static final ObjectMapper YAML = new YAMLMapper();

  private Values() {}

  /**
   * Reads a file into a value.
   *
   * @param <T> the type of the value
   * @param file JSON if its content type says so, otherwise YAML
   * @param type a record, a bean, or whatever Jackson knows how to make
   * @return the value
   * @throws IllegalArgumentException if the file is malformed or does not fit the type; says where
   */
  public static <T> T read(SnapshotFile file, Class<T> type) {
    return parse(file, mapper -> mapper.readValue(file.content().newInput(), type));
  }

  /**
   * Reads a file into a tree.
   *
   * @param file JSON if its content type says so, otherwise YAML
   * @return its root
   * @throws IllegalArgumentException if the file is malformed; says where
   */
  public static JsonNode tree(SnapshotFile file) {
    return parse(file, mapper -> mapper.readTree(file.content().newInput()));
  }

  private static <T> T parse(SnapshotFile file, Function<ObjectMapper, T> parser) {
    try {
      return parser.apply(file.contentType().equals("application/json") ? JSON : YAML);
    } catch (JacksonException e) {
      // Jackson's own message has the place in bytes, which helps nobody who edits the file.
      TokenStreamLocation at = e.getLocation();
      String place = at == null ? "" : ":" + at.getLineNr() + ":" + at.getColumnNr();
      throw new IllegalArgumentException(file.path() + place + ": " + e.getOriginalMessage(), e);
    }
  }
}
