#include "server/validate/yaml_syntax.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "server/validate/file_violation.h"
#include "server/validate/yaml_events.h"

namespace confstream {
namespace {

int64_t SaturatingSum(int64_t a, int64_t b) {
  const int64_t room = std::numeric_limits<int64_t>::max() - a;
  return b > room ? std::numeric_limits<int64_t>::max() : a + b;
}

class YamlSyntax {
 public:
  YamlSyntax(absl::string_view path, absl::string_view bytes, const SourceLimits& limits)
      : path_(path),
        bytes_(bytes),
        max_nesting_(std::min(limits.max_nesting, kHighestNesting)),
        max_alias_nodes_(limits.max_alias_nodes) {}

  std::optional<Violation> Check() {
    YamlEvents events(bytes_);
    while (events.Next()) {
      if (events.event().type == YAML_STREAM_END_EVENT) return std::nullopt;
      if (auto violation = CheckEvent(events.event())) return violation;
    }
    return SyntaxError(events.error());
  }

 private:
  struct OpenCollection {
    std::string anchor;  // may be empty
    int64_t nodes;       // itself and all below it so far, aliases expanded
  };

  std::optional<Violation> CheckEvent(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        anchored_nodes_.clear();  // anchors do not outlive their document
        return std::nullopt;
      case YAML_SCALAR_EVENT:
        Anchor(YamlText(event.data.scalar.anchor), 1);
        AddNodes(1);
        return std::nullopt;
      case YAML_ALIAS_EVENT:
        return CheckAlias(event);
      case YAML_SEQUENCE_START_EVENT:
        return Open(event, YamlText(event.data.sequence_start.anchor));
      case YAML_MAPPING_START_EVENT:
        return Open(event, YamlText(event.data.mapping_start.anchor));
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        Close();
        return std::nullopt;
      default:
        return std::nullopt;
    }
  }

  std::optional<Violation> Open(const yaml_event_t& event, absl::string_view anchor) {
    if (static_cast<int64_t>(open_.size()) >= max_nesting_) {
      return At(event.start_mark, "yaml.nesting",
                absl::StrCat("nested more than ", max_nesting_,
                             " levels deep: flatten the file or raise limits.max_nesting"));
    }
    Anchor(anchor, 0);
    open_.push_back({std::string(anchor), 1});
    return std::nullopt;
  }

  void Close() {
    const OpenCollection closed = std::move(open_.back());
    open_.pop_back();
    Anchor(closed.anchor, closed.nodes);
    AddNodes(closed.nodes);
  }

  std::optional<Violation> CheckAlias(const yaml_event_t& event) {
    const auto anchored = anchored_nodes_.find(YamlText(event.data.alias.anchor));
    if (anchored == anchored_nodes_.end()) {
      return At(event.start_mark, "yaml.syntax",
                "the alias refers to an anchor that the document does not define before it");
    }
    const int64_t nodes = anchored->second;
    if (nodes == 0) {
      return At(event.start_mark, "yaml.aliases", "the alias refers to a node that contains it");
    }
    alias_nodes_ = SaturatingSum(alias_nodes_, nodes);
    if (alias_nodes_ > max_alias_nodes_) {
      return At(event.start_mark, "yaml.aliases",
                absl::StrCat("the aliases up to here stand for more than ", max_alias_nodes_,
                             " nodes: use fewer or raise limits.max_alias_nodes"));
    }
    AddNodes(nodes);
    return std::nullopt;
  }

  void AddNodes(int64_t nodes) {
    if (!open_.empty()) open_.back().nodes = SaturatingSum(open_.back().nodes, nodes);
  }

  // What an alias of `anchor` stands for from now on; 0 while its node is still open.
  void Anchor(absl::string_view anchor, int64_t nodes) {
    if (!anchor.empty()) anchored_nodes_[anchor] = nodes;
  }

  Violation SyntaxError(const yaml_parser_t& error) const {
    if (error.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
    if (error.error == YAML_READER_ERROR) {
      return MakeViolation(path_, PlaceOf(bytes_, error.problem_offset), "yaml.syntax",
                           error.problem);
    }
    std::string message;
    if (error.context != nullptr) {
      absl::StrAppend(&message, error.context, " that begins on line ",
                      PlaceOfMark(error.context_mark).line, ": ");
    }
    absl::StrAppend(&message, error.problem);
    return At(error.problem_mark, "yaml.syntax", message);
  }

  // libyaml's own lines also end at the separators U+0085, U+2028 and U+2029, where those of
  // editors do not; its index counts characters.
  TextPlace PlaceOfMark(const yaml_mark_t& mark) const {
    return PlaceOf(bytes_, OffsetOfCharacter(bytes_, mark.index));
  }

  Violation At(const yaml_mark_t& mark, absl::string_view rule, absl::string_view message) const {
    return MakeViolation(path_, PlaceOfMark(mark), rule, message);
  }

  const absl::string_view path_;
  const absl::string_view bytes_;
  const int64_t max_nesting_;
  const int64_t max_alias_nodes_;

  std::vector<OpenCollection> open_;  // outermost first
  absl::flat_hash_map<std::string, int64_t> anchored_nodes_;
  int64_t alias_nodes_ = 0;  // what the aliases of all documents so far stand for
};

}  // namespace

std::optional<Violation> CheckYamlSyntax(absl::string_view path, absl::string_view bytes,
                                         const SourceLimits& limits) {
  return YamlSyntax(path, bytes, limits).Check();
}

}  // namespace confstream
