#include "server/config/config_merge.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/text.h"
#include "server/config/listen_address.h"
#include "server/validate/schema_set.h"

namespace confstream {
namespace {

// More sources would need more watches and workers than the server is built for.
constexpr size_t kMaxSources = 1000;

// What to do about an address that `key` has, and so has `other`, which comes before it.
absl::string_view RemedyForClash(absl::string_view key, absl::string_view other) {
  if (key == other) return "keep one of them";
  if (key == "metrics_listen") return "metrics need an address of their own";
  return "keep one of them, or offer the admin service on all addresses of listen with admin: true "
         "(--admin)";
}

// The order of texts in which numbers count as such: line 9 comes before line 10.
bool ComesBefore(absl::string_view a, absl::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (absl::ascii_isdigit(a[0]) && absl::ascii_isdigit(b[0])) {
      const size_t a_digits = std::min(a.find_first_not_of("0123456789"), a.size());
      const size_t b_digits = std::min(b.find_first_not_of("0123456789"), b.size());
      if (a_digits != b_digits) return a_digits < b_digits;
    }
    if (a[0] != b[0]) return a[0] < b[0];
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.size() < b.size();
}

class Merger {
 public:
  explicit Merger(const std::vector<ConfigLayer>& layers) : layers_(layers) {}

  MergedConfig Merge() {
    for (const ConfigLayer& layer : layers_) Errors(layer.errors);
    MergeServer();
    MergeSources();
    CheckListen();
    // In the order of the file, whoever found them.
    std::stable_sort(merged_.errors.begin(), merged_.errors.end(), ComesBefore);
    return std::move(merged_);
  }

 private:
  void Errors(std::vector<std::string> errors) {
    for (std::string& error : errors) merged_.errors.push_back(std::move(error));
  }

  // "PLACE: " if the place of the setting is known.
  std::string PrefixFor(const std::string& source, const std::string& key) const {
    const auto origin = merged_.origins.find({source, key});
    return origin == merged_.origins.end() ? "" : absl::StrCat(origin->second, ": ");
  }

  void Remember(const std::string& source, const GivenSettings& given) {
    for (const auto& entry : given) {
      merged_.origins[{source, entry.first}] = entry.second.origin;
    }
  }

  void MergeServer() {
    GivenSettings given;
    for (const ConfigLayer& layer : layers_) {
      for (const auto& entry : layer.server) given[entry.first] = entry.second;
    }
    Errors(ApplySettings(ServerSettings(), given, &merged_.config));
    Remember("", given);
  }

  void MergeSources() {
    GivenSettings defaults;
    for (const ConfigLayer& layer : layers_) {
      for (const auto& entry : layer.source_defaults) defaults[entry.first] = entry.second;
    }
    // Once by themselves, so that their errors are told once, and even if there is no source.
    SourceConfig with_defaults;
    Errors(ApplySettings(SourceSettings(), defaults, &with_defaults));
    for (const auto& entry : JoinByName()) AddSource(entry.second, defaults, with_defaults);
    if (merged_.config.sources.size() > kMaxSources) {
      merged_.errors.push_back(absl::StrCat("there are ", merged_.config.sources.size(),
                                            " sources: at most ", kMaxSources,
                                            " can be served by one server"));
    }
    if (merged_.config.sources.empty() && merged_.errors.empty()) {
      merged_.errors.emplace_back(
          "there is no source to serve: give --source NAME=PATH, CONFSTREAM_SOURCES=NAME=PATH, or "
          "`sources:` in a file for --config");
    }
  }

  std::map<std::string, GivenSource> JoinByName() {
    std::map<std::string, GivenSource> joined;
    for (const ConfigLayer& layer : layers_) {
      std::set<std::string> in_layer;
      for (const GivenSource& source : layer.sources) {
        const std::string& name = source.name.text;
        if (!in_layer.insert(name).second) {
          merged_.errors.push_back(
              absl::StrCat(source.name.subject(), " is there twice: sources need different names"));
          continue;
        }
        const auto found = joined.find(name);
        if (found == joined.end()) {
          joined.emplace(name, source);
        } else {
          found->second.path = source.path;
        }
      }
    }
    return joined;
  }

  void AddSource(const GivenSource& given, const GivenSettings& defaults,
                 const SourceConfig& with_defaults) {
    SourceConfig source = with_defaults;
    source.name = given.name.text;
    const absl::Status name_status = CheckSourceName(source.name);
    if (!name_status.ok()) {
      merged_.errors.push_back(absl::StrCat(given.name.subject(), " ", name_status.message()));
    }
    if (!given.path.name.empty()) {
      absl::StatusOr<std::string> path = ParsePathSetting(given.path.text, given.path.directory);
      if (path.ok()) {
        source.path = *std::move(path);
      } else {
        merged_.errors.push_back(absl::StrCat(given.path.subject(), " ", path.status().message()));
      }
    }
    Errors(ApplySettings(SourceSettings(), given.settings, &source));
    Remember(source.name, defaults);
    Remember(source.name, given.settings);
    merged_.origins[{source.name, "path"}] = given.path.origin();
    CheckSource(source);
    merged_.config.sources.push_back(std::move(source));
  }

  void CheckSource(const SourceConfig& source) {
    if (source.settle > source.max_delay) {
      std::string prefix = PrefixFor(source.name, "settle");
      if (prefix.empty()) prefix = PrefixFor(source.name, "max_delay");
      merged_.errors.push_back(absl::StrCat(
          prefix, "source ", EscapeForDisplay(source.name), ": settle ",
          absl::FormatDuration(source.settle), " is longer than max_delay ",
          absl::FormatDuration(source.max_delay), ": lower settle or raise max_delay"));
    }
    const auto schemas = SchemaSet::Load(source.rules);
    if (schemas.ok()) return;
    for (const absl::string_view error : absl::StrSplit(schemas.status().message(), '\n')) {
      merged_.errors.push_back(absl::StrCat(PrefixFor(source.name, "rules.schemas"), "source ",
                                            EscapeForDisplay(source.name), ": ", error));
    }
  }

  void CheckListen() {
    const ServerConfig& config = merged_.config;
    if (config.listen.empty() && merged_.errors.empty()) {
      merged_.errors.push_back(absl::StrCat(
          PrefixFor("", "listen"),
          "listen has no address: write one, or leave the setting out for the default"));
    }
    std::map<std::string, std::string> seen;  // the setting, by address
    CheckAddresses("listen", config.listen, &seen);
    CheckAddresses("admin_listen", config.admin_listen, &seen);
    CheckAddresses("metrics_listen", config.metrics_listen, &seen);
  }

  void CheckAddresses(const std::string& key, const std::vector<std::string>& addresses,
                      std::map<std::string, std::string>* seen) {
    const std::string prefix = PrefixFor("", key);
    for (const std::string& text : addresses) {
      // It was parsed when it was applied, and has become absolute then.
      const absl::StatusOr<ListenAddress> address = ListenAddress::Parse(text, "/");
      if (!address.ok()) continue;
      const auto inserted = seen->emplace(text, key);
      if (!inserted.second && !address->any_port) {
        const std::string& other = inserted.first->second;
        merged_.errors.push_back(
            absl::StrCat(prefix, key, " has the address ", text,
                         other == key ? " twice" : absl::StrCat(", and so has ", other), ": ",
                         RemedyForClash(key, other)));
      }
      if (!address->local && !merged_.config.allow_plaintext) {
        merged_.errors.push_back(
            absl::StrCat(prefix, "other machines can reach ", text,
                         ", and the server has no TLS: listen on 127.0.0.1",
                         key == "metrics_listen" ? "" : ", [::1] or unix:PATH",
                         ", or accept it with --allow-plaintext (allow_plaintext: true, "
                         "CONFSTREAM_ALLOW_PLAINTEXT=true)"));
      }
    }
  }

  const std::vector<ConfigLayer>& layers_;
  MergedConfig merged_;
};

}  // namespace

MergedConfig MergeLayers(const std::vector<ConfigLayer>& layers) { return Merger(layers).Merge(); }

}  // namespace confstream
