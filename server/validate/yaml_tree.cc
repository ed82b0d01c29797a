#include "server/validate/yaml_tree.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "server/validate/document_tree_builder.h"
#include "server/validate/place_cursor.h"
#include "server/validate/yaml_events.h"

namespace confstream {
namespace {

constexpr char kCoreTag[] = "tag:yaml.org,2002:";

bool IsOneOf(absl::string_view text, std::initializer_list<absl::string_view> words) {
  for (const absl::string_view word : words) {
    if (text == word) return true;
  }
  return false;
}

bool ConsumeDigits(absl::string_view* text) {
  const size_t end = std::min(text->find_first_not_of("0123456789"), text->size());
  text->remove_prefix(end);
  return end > 0;
}

// The core schema's float, which covers its decimal integers.
bool LooksLikeNumber(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "-")) absl::ConsumePrefix(&text, "+");
  const bool before_dot = ConsumeDigits(&text);
  const bool behind_dot = absl::ConsumePrefix(&text, ".") && ConsumeDigits(&text);
  if (!before_dot && !behind_dot) return false;
  if (absl::ConsumePrefix(&text, "e") || absl::ConsumePrefix(&text, "E")) {
    if (!absl::ConsumePrefix(&text, "-")) absl::ConsumePrefix(&text, "+");
    if (!ConsumeDigits(&text)) return false;
  }
  return text.empty();
}

// What follows `0o` or `0x`; null if it is no such number.
nlohmann::json WithBase(absl::string_view digits, uint64_t base) {
  if (digits.empty()) return nullptr;
  double value = 0;
  uint64_t exact = 0;
  for (const char c : digits) {
    const auto digit =
        static_cast<uint64_t>(absl::string_view("0123456789abcdef").find(absl::ascii_tolower(c)));
    if (digit >= base) return nullptr;
    value = value * static_cast<double>(base) + static_cast<double>(digit);
    exact = exact * base + digit;
  }
  if (value > 9e18) return value;
  return static_cast<int64_t>(exact);
}

// A plain scalar's value. `.nan` stays a text: JSON has no such number, and nothing equals it.
nlohmann::json Resolved(const std::string& text) {
  if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
  if (IsOneOf(text, {"true", "True", "TRUE"})) return true;
  if (IsOneOf(text, {"false", "False", "FALSE"})) return false;
  absl::string_view unsigned_text = text;
  const bool negative = absl::ConsumePrefix(&unsigned_text, "-");
  if (!negative) absl::ConsumePrefix(&unsigned_text, "+");
  if (IsOneOf(unsigned_text, {".inf", ".Inf", ".INF"})) {
    const double infinity = std::numeric_limits<double>::infinity();
    return negative ? -infinity : infinity;
  }
  if (absl::StartsWith(text, "0o") || absl::StartsWith(text, "0x")) {
    nlohmann::json number = WithBase(absl::string_view(text).substr(2), text[1] == 'o' ? 8 : 16);
    if (!number.is_null()) return number;
  }
  if (!LooksLikeNumber(text)) return text;
  int64_t integer = 0;
  if (absl::SimpleAtoi(text, &integer)) return integer;
  double number = 0;
  if (absl::SimpleAtod(text, &number)) return number;
  return text;
}

class YamlTree {
 public:
  explicit YamlTree(absl::string_view bytes) : bytes_(bytes), places_(bytes) {}

  DocumentTree Build() {
    YamlEvents events(bytes_);
    bool any = false;
    while (events.Next() && events.event().type != YAML_STREAM_END_EVENT) {
      any = any || events.event().type == YAML_DOCUMENT_START_EVENT;
      if (!Take(events.event())) return builder_.Finish();
    }
    if (!any) builder_.Scalar(nullptr, TextPlace());
    return builder_.Finish();
  }

 private:
  // False: there is a problem behind which the rest cannot be read.
  bool Take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        anchored_.clear();
        return true;
      case YAML_SCALAR_EVENT:
        TakeScalar(event);
        return true;
      case YAML_ALIAS_EVENT:
        return TakeAlias(event);
      case YAML_SEQUENCE_START_EVENT:
        return Open(event, DocumentNode::kArray, YamlText(event.data.sequence_start.anchor));
      case YAML_MAPPING_START_EVENT:
        return Open(event, DocumentNode::kObject, YamlText(event.data.mapping_start.anchor));
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        Anchor(open_anchors_.back(), builder_.Close());
        open_anchors_.pop_back();
        return true;
      default:
        return true;
    }
  }

  void TakeScalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    std::string text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    const TextPlace place = PlaceOfEvent(event);
    if (builder_.awaits_key()) {
      anchored_.erase(YamlText(scalar.anchor));
      if (scalar.plain_implicit != 0 && text == "<<") {
        builder_.MergeKey(place);
      } else {
        builder_.Key(std::move(text), place);
      }
      return;
    }
    absl::string_view tag = YamlText(scalar.tag);
    const bool resolves =
        scalar.plain_implicit != 0 ||
        (absl::ConsumePrefix(&tag, kCoreTag) && IsOneOf(tag, {"null", "bool", "int", "float"}));
    Anchor(YamlText(scalar.anchor),
           builder_.Scalar(resolves ? Resolved(text) : nlohmann::json(std::move(text)), place));
  }

  bool TakeAlias(const yaml_event_t& event) {
    const absl::string_view anchor = YamlText(event.data.alias.anchor);
    const auto anchored = anchored_.find(anchor);
    if (builder_.awaits_key() || anchored == anchored_.end()) {
      builder_.AddProblem(PlaceOfEvent(event),
                          "an alias that is a key, or refers to one, cannot be checked against a "
                          "schema: write the text itself");
      return false;
    }
    builder_.Repeat(anchored->second);
    return true;
  }

  bool Open(const yaml_event_t& event, DocumentNode::Kind kind, absl::string_view anchor) {
    if (builder_.awaits_key()) {
      builder_.AddProblem(PlaceOfEvent(event),
                          "a key that is a mapping or sequence cannot be checked against a schema: "
                          "write a text");
      return false;
    }
    builder_.Open(kind, PlaceOfEvent(event));
    open_anchors_.emplace_back(anchor);
    return true;
  }

  void Anchor(absl::string_view anchor, NodeIndex node) {
    if (!anchor.empty()) anchored_[anchor] = node;
  }

  // The mark of a value that has an anchor or a tag is theirs, which is where the value is written,
  // too.
  TextPlace PlaceOfEvent(const yaml_event_t& event) {
    return places_.AtCharacter(event.start_mark.index);
  }

  const absl::string_view bytes_;
  PlaceCursor places_;
  DocumentTreeBuilder builder_;
  absl::flat_hash_map<std::string, NodeIndex> anchored_;  // values of this document
  std::vector<std::string> open_anchors_;                 // of open collections; outermost first
};

}  // namespace

DocumentTree ReadYamlTree(absl::string_view bytes) { return YamlTree(bytes).Build(); }

}  // namespace confstream
