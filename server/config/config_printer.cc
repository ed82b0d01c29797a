#include "server/config/config_printer.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/text.h"
#include "server/config/setting.h"

namespace confstream {
namespace {

constexpr char kPlain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";

// The characters that YAML folds as line breaks or does not allow unescaped.
bool NeedsEscape(uint32_t character) {
  return character < 0x20 || (character >= 0x7f && character <= 0x9f) || character == 0x2028 ||
         character == 0x2029 || character == 0xfeff || character == 0xfffe || character == 0xffff;
}

// `text`, valid UTF-8, as a YAML scalar. Path globs may have control characters, to exclude the
// files that have them.
std::string Scalar(absl::string_view text) {
  const bool plain =
      !text.empty() && text[0] != '-' && text.find_first_not_of(kPlain) == absl::string_view::npos;
  if (plain && text != "null") return std::string(text);
  std::string out = "\"";
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t character = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      character = (character << 6) | (static_cast<uint8_t>(text[i + k]) & 0x3fu);
    }
    if (NeedsEscape(character)) {
      absl::StrAppend(&out, "\\u", absl::Hex(character, absl::kZeroPad4));
    } else {
      if (lead == '"' || lead == '\\') out += '\\';
      out.append(text.data() + i, length);
    }
    i += length;
  }
  return absl::StrCat(out, "\"");
}

template <typename Target>
std::string Value(const Setting<Target>& setting, const Target& target) {
  std::vector<std::string> scalars;
  for (const std::string& text : setting.get(target)) scalars.push_back(Scalar(text));
  if (!setting.is_list) return scalars.front();
  return absl::StrCat("[", absl::StrJoin(scalars, ", "), "]");
}

class Printer {
 public:
  explicit Printer(const ConfigOrigins& origins) : origins_(origins) {}

  std::string Print(const ServerConfig& config) {
    for (const auto& setting : ServerSettings()) {
      Line(0, setting.key, Value(setting, config), {"", setting.key});
    }
    absl::StrAppend(&out_, "sources:\n");
    for (const SourceConfig& source : config.sources) PrintSource(source);
    return out_;
  }

 private:
  void PrintSource(const SourceConfig& source) {
    absl::StrAppend(&out_, "  ", Scalar(source.name), ":\n");
    Line(4, "path", Scalar(source.path), {source.name, "path"});
    std::string group;
    for (const auto& setting : SourceSettings()) {
      if (setting.group() != group) {
        group = setting.group();
        if (!group.empty()) absl::StrAppend(&out_, "    ", group, ":\n");
      }
      const std::string id = setting.key;
      const std::string key = group.empty() ? id : id.substr(group.size() + 1);
      Line(group.empty() ? 4 : 6, key, Value(setting, source), {source.name, id});
    }
  }

  void Line(size_t indent, absl::string_view key, absl::string_view value,
            const std::pair<std::string, std::string>& id) {
    absl::StrAppend(&out_, std::string(indent, ' '), key, ": ", value);
    const auto origin = origins_.find(id);
    absl::StrAppend(&out_, origin == origins_.end()
                               ? ""
                               : absl::StrCat("  # ", EscapeForDisplay(origin->second)));
    absl::StrAppend(&out_, "\n");
  }

  const ConfigOrigins& origins_;
  std::string out_;
};

}  // namespace

std::string PrintConfig(const ServerConfig& config, const ConfigOrigins& origins) {
  return Printer(origins).Print(config);
}

}  // namespace confstream
