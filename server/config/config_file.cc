#include "server/config/config_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/text.h"
#include "server/base/unique_fd.h"
#include "server/config/yaml_document.h"

namespace confstream {
namespace {

// What is known of a setting while reading the file.
struct KnownKey {
  std::string key;
  std::string group;
  bool is_list;
};

template <typename Target>
std::vector<KnownKey> KeysOf(const std::vector<Setting<Target>>& settings) {
  std::vector<KnownKey> keys;
  keys.reserve(settings.size());
  for (const auto& setting : settings) {
    keys.push_back({setting.key, setting.group(), setting.is_list});
  }
  return keys;
}

// Walks over the document and collects settings and errors.
class ConfigFileReader {
 public:
  ConfigFileReader(absl::string_view name, absl::string_view directory)
      : name_(name),
        directory_(directory),
        server_keys_(KeysOf(ServerSettings())),
        source_keys_(KeysOf(SourceSettings())) {}

  ConfigLayer Read(const YamlNode& root) {
    for (const auto& [key, value] : Entries(root, "the configuration")) {
      const std::string text = key.text();
      if (text == "sources") {
        ReadSources(value);
      } else if (text == "defaults") {
        ReadDefaults(value);
      } else if (!ReadKnown(key, value, "", server_keys_, &layer_.server)) {
        UnknownKey(key, "", server_keys_, {"sources", "defaults"});
      }
    }
    return std::move(layer_);
  }

 private:
  using Entry = std::pair<YamlNode, YamlNode>;

  void Error(const YamlNode& node, absl::string_view message) {
    layer_.errors.push_back(absl::StrCat(PlaceOfNode(node), ": ", message));
  }

  std::string PlaceOfNode(const YamlNode& node) const {
    return absl::StrCat(name_, ":", node.line(), ":", node.column());
  }

  static bool HasKey(const YamlNode& mapping, absl::string_view wanted) {
    const std::vector<Entry> entries = mapping.entries();
    return std::any_of(entries.begin(), entries.end(), [wanted](const Entry& entry) {
      return entry.first.is_scalar() && entry.first.text() == wanted;
    });
  }

  static std::string Shown(const YamlNode& node) {
    return absl::StrCat("`", EscapeForDisplay(node.text().substr(0, 100)), "`");
  }

  SettingText TextOf(const YamlNode& node, absl::string_view name) const {
    return {node.text(), PlaceOfNode(node), std::string(name), directory_};
  }

  // The entries of a mapping whose keys are texts, each there once; anything else is an error.
  // `what` says what the mapping is.
  std::vector<Entry> Entries(const YamlNode& node, absl::string_view what) {
    if (!node.is_mapping()) {
      Error(node, absl::StrCat(what, " must be a mapping: write lines `KEY: VALUE`"));
      return {};
    }
    std::vector<Entry> entries;
    std::map<std::string, int64_t> lines;
    for (const Entry& entry : node.entries()) {
      const YamlNode& key = entry.first;
      if (!key.is_scalar()) {
        Error(key, "a key must be a text");
        continue;
      }
      const auto inserted = lines.emplace(key.text(), key.line());
      if (inserted.second) {
        entries.push_back(entry);
      } else {
        Error(key, absl::StrCat(Shown(key), " is there already, on line ", inserted.first->second,
                                ": keep one of them"));
      }
    }
    return entries;
  }

  // Where the setting `key` belongs; empty: there is none.
  std::string PlaceFor(absl::string_view key) const {
    if (key == "path") return "into a source, below `sources`";
    if (key == "sources" || key == "defaults") return "at the top of the file";
    for (const KnownKey& known : server_keys_) {
      if (known.key == key) return "at the top of the file";
    }
    for (const KnownKey& known : source_keys_) {
      if ((known.group.empty() ? known.key : known.group) == key) {
        return "into a source, or into `defaults`";
      }
      absl::string_view rest = known.key;
      if (absl::ConsumeSuffix(&rest, absl::StrCat(".", key))) {
        return absl::StrCat("into `", rest, "` of a source, or of `defaults`");
      }
    }
    return "";
  }

  void UnknownKey(const YamlNode& key, absl::string_view prefix, const std::vector<KnownKey>& known,
                  std::vector<std::string> more) {
    for (const KnownKey& candidate : known) {
      absl::string_view rest = candidate.key;
      if (absl::ConsumePrefix(&rest, prefix) && !absl::StrContains(rest, ".")) {
        more.emplace_back(rest);
      }
    }
    if (const std::string place = PlaceFor(key.text()); !place.empty()) {
      Error(key, absl::StrCat(Shown(key), " is misplaced: it belongs ", place));
      return;
    }
    const std::string near = NearestWord(key.text(), more);
    Error(key,
          absl::StrCat("unknown key ", Shown(key), ": ",
                       near.empty() ? absl::StrCat("known here are ", absl::StrJoin(more, ", "))
                                    : absl::StrCat("did you mean `", near, "`?")));
  }

  // False if `key` is not a known setting.
  bool ReadKnown(const YamlNode& key, const YamlNode& value, absl::string_view prefix,
                 const std::vector<KnownKey>& known, GivenSettings* given) {
    const std::string name = absl::StrCat(prefix, key.text());
    for (const KnownKey& candidate : known) {
      if (candidate.key == name) {
        ReadSetting(key, value, candidate, given);
        return true;
      }
    }
    return false;
  }

  void ReadSetting(const YamlNode& key, const YamlNode& value, const KnownKey& known,
                   GivenSettings* given) {
    GivenSetting setting;
    setting.origin = PlaceOfNode(value);
    const std::string name = key.text();
    if (value.is_null()) {
      Error(key, absl::StrCat(Shown(key), " has no value: write one, or leave the line out"));
      return;
    }
    if (known.is_list != value.is_sequence() || value.is_mapping()) {
      Error(value, known.is_list ? absl::StrCat(Shown(key), " must be a list: write [VALUE, VALUE]")
                                 : absl::StrCat(Shown(key), " must be a single value"));
      return;
    }
    if (!known.is_list) {
      setting.values.push_back(TextOf(value, name));
    } else {
      for (const YamlNode& element : value.elements()) {
        if (element.is_scalar() && !element.is_null()) {
          setting.values.push_back(TextOf(element, name));
        } else {
          Error(element, absl::StrCat("an element of ", Shown(key), " must be a text"));
        }
      }
    }
    given->emplace(known.key, std::move(setting));
  }

  // The groups of the settings of a source.
  std::set<std::string> Groups() const {
    std::set<std::string> groups;
    for (const KnownKey& known : source_keys_) {
      if (!known.group.empty()) groups.insert(known.group);
    }
    return groups;
  }

  // The settings of a source, or the defaults of all, or, with a prefix, those of one group.
  // `path` is null for the latter two.
  void ReadSourceSettings(const YamlNode& node, absl::string_view what, absl::string_view prefix,
                          SettingText* path, GivenSettings* given) {
    const std::set<std::string> groups = prefix.empty() ? Groups() : std::set<std::string>();
    for (const auto& [key, value] : Entries(node, what)) {
      const std::string text = key.text();
      if (groups.count(text) > 0) {
        ReadSourceSettings(value, absl::StrCat("`", text, "`"), absl::StrCat(text, "."), nullptr,
                           given);
      } else if (path != nullptr && text == "path") {
        if (value.is_scalar() && !value.is_null()) {
          *path = TextOf(value, "path");
        } else {
          Error(key, "`path` must be a text: the path of a directory or file");
        }
      } else if (!ReadKnown(key, value, prefix, source_keys_, given)) {
        std::vector<std::string> more;
        if (path != nullptr) more.emplace_back("path");
        more.insert(more.end(), groups.begin(), groups.end());
        UnknownKey(key, prefix, source_keys_, std::move(more));
      }
    }
  }

  void ReadDefaults(const YamlNode& node) {
    ReadSourceSettings(node, "`defaults`", "", nullptr, &layer_.source_defaults);
  }

  void ReadSources(const YamlNode& node) {
    for (const auto& [key, value] : Entries(node, "`sources`")) {
      GivenSource source;
      source.name = TextOf(key, "source");
      if (value.is_scalar()) {
        Error(key, absl::StrCat("source ", Shown(key), " must be a mapping: write ",
                                EscapeForDisplay(key.text()), ": {path: PATH}"));
        continue;
      }
      ReadSourceSettings(value, absl::StrCat("source ", Shown(key)), "", &source.path,
                         &source.settings);
      if (value.is_mapping() && !HasKey(value, "path")) {
        Error(key, absl::StrCat("source ", Shown(key),
                                " has no `path`: write the directory or file to serve"));
      }
      layer_.sources.push_back(std::move(source));
    }
  }

  const std::string name_;
  const std::string directory_;
  const std::vector<KnownKey> server_keys_;
  const std::vector<KnownKey> source_keys_;
  ConfigLayer layer_;
};

// How long a pipe may take to give the whole of a configuration file.
constexpr absl::Duration kPipePatience = absl::Seconds(5);

absl::StatusOr<std::string> ReadWhole(const std::string& path, absl::string_view name) {
  const auto failed = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read the configuration file ", name, ": ", why));
  };
  // A pipe that nobody writes to must not hold up whoever asks the server to load it again.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return failed(std::strerror(errno));
  std::string text(kMaxConfigFileBytes + 1, '\0');
  size_t have = 0;
  const absl::Time deadline = absl::Now() + kPipePatience;
  while (have < text.size()) {
    const ssize_t got = read(fd.get(), text.data() + have, text.size() - have);
    if (got == 0) break;
    if (got > 0) {
      have += static_cast<size_t>(got);
    } else if (errno == EAGAIN) {
      const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
      pollfd polled = {fd.get(), POLLIN, 0};
      if (left <= 0 || poll(&polled, 1, static_cast<int>(left)) == 0) {
        return failed(absl::StrCat("whoever writes to this pipe has not ended within ",
                                   FormatDuration(kPipePatience), ": write it into a file"));
      }
    } else if (errno != EINTR) {
      return failed(std::strerror(errno));
    }
  }
  text.resize(have);
  struct stat stat {};
  if (have == 0 && fstat(fd.get(), &stat) == 0 && S_ISFIFO(stat.st_mode)) {
    return failed("nobody writes to this pipe: write it into a file");
  }
  if (text.size() > kMaxConfigFileBytes) {
    return failed(absl::StrCat("it is larger than ", FormatSize(kMaxConfigFileBytes)));
  }
  return text;
}

}  // namespace

absl::StatusOr<ConfigLayer> ParseConfigFile(absl::string_view text, absl::string_view name,
                                            absl::string_view directory) {
  absl::StatusOr<YamlDocument> document = YamlDocument::Parse(text, name);
  if (!document.ok()) return document.status();
  if (!document->has_root()) return ConfigLayer();
  return ConfigFileReader(name, directory).Read(document->root());
}

absl::StatusOr<ConfigLayer> ReadConfigFile(const std::string& path, absl::string_view name) {
  absl::StatusOr<std::string> text = ReadWhole(path, name);
  if (!text.ok()) return text.status();
  return ParseConfigFile(*text, name, path.substr(0, path.rfind('/')));
}

}  // namespace confstream
