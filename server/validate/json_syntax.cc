#include "server/validate/json_syntax.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/validate/file_violation.h"

namespace confstream {
namespace {

constexpr char kSyntax[] = "json.syntax";
constexpr char kNesting[] = "json.nesting";

// Walks over the bytes and tells how far the parser has read: its events carry no position.
class ReadingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  ReadingIterator(const char* at, const char** last_read) : at_(at), last_read_(last_read) {}

  reference operator*() const {
    *last_read_ = at_;
    return *at_;
  }
  ReadingIterator& operator++() {
    ++at_;
    return *this;
  }
  ReadingIterator operator++(int) {
    const ReadingIterator before = *this;
    ++at_;
    return before;
  }
  friend bool operator==(const ReadingIterator& a, const ReadingIterator& b) {
    return a.at_ == b.at_;
  }
  friend bool operator!=(const ReadingIterator& a, const ReadingIterator& b) { return !(a == b); }

 private:
  const char* at_;
  const char** last_read_;
};

// What nlohmann's message says, without its prefix (which repeats the place) and the text it last
// read (which is content, of any length).
std::string Reason(absl::string_view what) {
  const size_t start = what.find("syntax error");
  if (start != absl::string_view::npos) what.remove_prefix(start);
  return std::string(what.substr(0, what.find("; last read:")));
}

// Bounds nesting and keeps the first error. Each event returns whether to read on.
class SyntaxEvents final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit SyntaxEvents(int64_t max_nesting) : max_nesting_(max_nesting) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(); }
  bool end_array() override { return Close(); }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    // out_of_range, the one error that is not of the syntax, quotes the number.
    const bool out_of_range = dynamic_cast<const nlohmann::json::out_of_range*>(&error) != nullptr;
    error_ = out_of_range ? "the number is too large for a double" : Reason(error.what());
    error_offset_ = position == 0 ? 0 : position - 1;
    return false;
  }

  bool too_deep() const { return depth_ > max_nesting_; }
  const std::string& error() const { return error_; }
  size_t error_offset() const { return error_offset_; }

 private:
  bool Open() { return ++depth_ <= max_nesting_; }
  bool Close() {
    --depth_;
    return true;
  }

  const int64_t max_nesting_;
  int64_t depth_ = 0;
  std::string error_;
  size_t error_offset_ = 0;
};

}  // namespace

std::optional<Violation> CheckJsonSyntax(absl::string_view path, absl::string_view bytes,
                                         const SourceLimits& limits) {
  const auto violation = [&](size_t offset, absl::string_view rule, absl::string_view message) {
    return MakeViolation(path, PlaceOf(bytes, offset), rule, message);
  };
  if (absl::StartsWith(bytes, "\xef\xbb\xbf")) {
    return violation(0, kSyntax,
                     "the file begins with a byte order mark, which most JSON parsers refuse: "
                     "save it as UTF-8 without one");
  }
  if (bytes.find_first_not_of(" \t\r\n") == absl::string_view::npos) {
    return violation(0, kSyntax, "the file is empty, which is not JSON: write at least {} or null");
  }
  // nlohmann's parser takes a NUL for the end, and would leave what follows unchecked.
  const size_t nul = bytes.find('\0');
  if (nul != absl::string_view::npos) {
    return violation(nul, kSyntax, "a NUL character is not allowed in JSON: remove it");
  }

  const int64_t max_nesting = std::min(limits.max_nesting, kHighestNesting);
  const char* last_read = bytes.data();
  SyntaxEvents events(max_nesting);
  const bool ok =
      nlohmann::json::sax_parse(ReadingIterator(bytes.data(), &last_read),
                                ReadingIterator(bytes.data() + bytes.size(), &last_read), &events);
  if (ok) return std::nullopt;
  if (events.too_deep()) {
    return violation(static_cast<size_t>(last_read - bytes.data()), kNesting,
                     absl::StrCat("nested more than ", max_nesting,
                                  " levels deep: flatten the file or raise limits.max_nesting"));
  }
  return violation(events.error_offset(), kSyntax, events.error());
}

}  // namespace confstream
