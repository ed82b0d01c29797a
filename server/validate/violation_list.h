// Violations, of which there may be more than anybody reads.

#ifndef CONFSTREAM_SERVER_VALIDATE_VIOLATION_LIST_H_
#define CONFSTREAM_SERVER_VALIDATE_VIOLATION_LIST_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "server/snapshot/violation.h"
#include "server/validate/file_violation.h"

namespace confstream {

// Keeps the first kMostKept in their order, and counts all. Thread-compatible.
class ViolationList {
 public:
  static constexpr size_t kMostKept = 100;

  void Add(Violation violation) {
    ++total_;
    kept_.insert(std::move(violation));
    if (kept_.size() > kMostKept) kept_.erase(std::prev(kept_.end()));
  }
  // As Add() of one for which Keeps() is false.
  void Count() { ++total_; }
  void AddAll(const ViolationList& other) {
    const int64_t total = total_ + other.total_;
    for (const Violation& violation : other.kept_) Add(violation);
    total_ = total;
  }

  // False: a violation at this place would be counted only, so its message need not be made.
  // REQUIRES: all violations here are of one file.
  bool Keeps(TextPlace place) const {
    if (kept_.size() < kMostKept) return true;
    const Violation& last = *kept_.rbegin();
    return std::tie(place.line, place.column) <= std::tie(last.line, last.column);
  }

  int64_t total() const { return total_; }
  std::vector<Violation> kept() const { return {kept_.begin(), kept_.end()}; }

 private:
  std::multiset<Violation> kept_;
  int64_t total_ = 0;
};

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_VIOLATION_LIST_H_
