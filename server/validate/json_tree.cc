#include "server/validate/json_tree.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "server/validate/document_tree_builder.h"
#include "server/validate/place_cursor.h"

namespace confstream {
namespace {

// Follows the tokens of a JSON text, whose parser's events carry no place. The text is known to be
// JSON, so a token is told by its first character.
class JsonTokens {
 public:
  explicit JsonTokens(absl::string_view bytes) : bytes_(bytes), places_(bytes) {}

  // Moves behind the next token but `,` and `:`, and returns where it begins.
  TextPlace Next() {
    at_ = bytes_.find_first_not_of(" \t\r\n,:", at_);
    const TextPlace place = places_.AtOffset(at_);
    const char first = bytes_[at_];
    if (first == '"') {
      SkipString();
    } else if (first == '[' || first == ']' || first == '{' || first == '}') {
      ++at_;
    } else {
      at_ = std::min(bytes_.find_first_of(" \t\r\n,]}", at_), bytes_.size());
    }
    return place;
  }

 private:
  void SkipString() {
    for (++at_; bytes_[at_] != '"'; ++at_) {
      if (bytes_[at_] == '\\') ++at_;
    }
    ++at_;
  }

  const absl::string_view bytes_;
  PlaceCursor places_;
  size_t at_ = 0;
};

class TreeEvents final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TreeEvents(absl::string_view bytes) : tokens_(bytes) {}

  bool null() override { return Scalar(nullptr); }
  bool boolean(bool value) override { return Scalar(value); }
  bool number_integer(number_integer_t value) override { return Scalar(value); }
  bool number_unsigned(number_unsigned_t value) override {
    // One signed type for all integers that fit: comparisons then need not tell them apart.
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Scalar(static_cast<double>(value));
    }
    return Scalar(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return Scalar(value); }
  bool string(string_t& value) override { return Scalar(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& value) override {
    const TextPlace place = tokens_.Next();
    builder_.Key(std::move(value), place);
    return true;
  }
  bool start_object(size_t) override { return Open(DocumentNode::kObject); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(DocumentNode::kArray); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

  DocumentTree Finish() { return builder_.Finish(); }

 private:
  bool Scalar(nlohmann::json value) {
    builder_.Scalar(std::move(value), tokens_.Next());
    return true;
  }
  bool Open(DocumentNode::Kind kind) {
    builder_.Open(kind, tokens_.Next());
    return true;
  }
  bool Close() {
    tokens_.Next();
    builder_.Close();
    return true;
  }

  JsonTokens tokens_;
  DocumentTreeBuilder builder_;
};

}  // namespace

DocumentTree ReadJsonTree(absl::string_view bytes) {
  TreeEvents events(bytes);
  nlohmann::json::sax_parse(bytes.begin(), bytes.end(), &events);
  return events.Finish();
}

}  // namespace confstream
