#include "server/validate/toml_tree.h"

#include <toml++/toml.h>

#include <cmath>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/strings/match.h"
#include "server/validate/document_tree_builder.h"

namespace confstream {
namespace {

class TomlTree {
 public:
  DocumentTree Build(const toml::table& table) {
    AddTable(table, TextPlace());
    return builder_.Finish();
  }

 private:
  // A table that only dotted names speak of has no place of its own: it gets that of what is around
  // it.
  static TextPlace PlaceOrElse(const toml::source_region& region, TextPlace otherwise) {
    if (region.begin.line == 0) return otherwise;
    return {region.begin.line, region.begin.column};
  }

  // Recurs as deep as CheckTomlSyntax lets files nest.
  void Add(const toml::node& node, TextPlace around) {
    const TextPlace place = PlaceOrElse(node.source(), around);
    node.visit([&](const auto& value) {
      using Node = std::decay_t<decltype(value)>;
      if constexpr (toml::is_table<Node>) {
        AddTable(value, place);
      } else if constexpr (toml::is_array<Node>) {
        builder_.Open(DocumentNode::kArray, place);
        for (const toml::node& element : value) Add(element, place);
        builder_.Close();
      } else if constexpr (toml::is_date<Node> || toml::is_time<Node> || toml::is_date_time<Node>) {
        std::ostringstream text;
        text << value.get();
        builder_.Scalar(text.str(), place);
      } else if constexpr (toml::is_floating_point<Node>) {
        // JSON has no such number, and nothing equals it.
        const bool is_number = !std::isnan(value.get());
        builder_.Scalar(is_number ? nlohmann::json(value.get()) : nlohmann::json("nan"), place);
      } else {
        builder_.Scalar(value.get(), place);
      }
    });
  }

  void AddTable(const toml::table& table, TextPlace place) {
    builder_.Open(DocumentNode::kObject, place);
    for (const auto& [key, value] : table) {
      builder_.Key(std::string(key.str()), PlaceOrElse(key.source(), place));
      Add(value, place);
    }
    builder_.Close();
  }

  DocumentTreeBuilder builder_;
};

}  // namespace

DocumentTree ReadTomlTree(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "\xef\xbb\xbf")) bytes.remove_prefix(3);
  return TomlTree().Build(toml::parse(std::string_view(bytes.data(), bytes.size())));
}

}  // namespace confstream
