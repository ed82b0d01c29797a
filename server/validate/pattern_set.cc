#include "server/validate/pattern_set.h"

#include <re2/re2.h>

#include <utility>

namespace confstream {

PatternSet::PatternSet() = default;
PatternSet::~PatternSet() = default;
PatternSet::PatternSet(PatternSet&&) noexcept = default;
PatternSet& PatternSet::operator=(PatternSet&&) noexcept = default;

absl::Status PatternSet::Add(const std::string& pattern) {
  if (patterns_.count(pattern) > 0) return absl::OkStatus();
  RE2::Options options;
  options.set_log_errors(false);
  auto compiled = std::make_unique<const RE2>(pattern, options);
  if (!compiled->ok()) return absl::InvalidArgumentError(compiled->error());
  patterns_.emplace(pattern, std::move(compiled));
  return absl::OkStatus();
}

bool PatternSet::Matches(const std::string& pattern, absl::string_view text) const {
  return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *patterns_.at(pattern));
}

}  // namespace confstream
