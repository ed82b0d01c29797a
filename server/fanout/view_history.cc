#include "server/fanout/view_history.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error_reason.h"
#include "server/fanout/view_delta.h"
#include "server/snapshot/snapshot_diff.h"

namespace confstream {
namespace {

// The first version after `after` that can be had; null: `after` is the newest.
std::shared_ptr<const Snapshot> NextVersion(const ViewState& newest, int64_t after) {
  const std::shared_ptr<const Snapshot>& current = newest.view->snapshot();
  if (after >= current->version) return nullptr;
  std::shared_ptr<const Snapshot> next;
  if (newest.history != nullptr) next = newest.history->FindAfter(after);
  return next == nullptr || next->version > current->version ? current : next;
}

// Versions up to this one may be missing. To be asked after NextVersion(): what was dropped between
// the two questions would go unnoticed otherwise.
int64_t DroppedUpTo(const ViewState& newest) {
  return newest.history == nullptr ? newest.view->snapshot()->version - 1
                                   : newest.history->dropped_up_to();
}

std::string OldestRetained(const ViewState& newest) {
  const int64_t oldest = NextVersion(newest, 0)->version;
  return absl::StrCat("the oldest retained version is ", oldest,
                      ": begin without a resume_token, or with that of GetSnapshot for version ",
                      oldest);
}

absl::Status CannotResume(const ViewState& newest, absl::string_view why) {
  return ErrorWithReason(
      absl::StatusCode::kOutOfRange, kVersionCompacted,
      absl::StrCat("every version of source `", newest.view->snapshot()->source,
                   "` cannot be sent from there: ", why, "; ", OldestRetained(newest)));
}

}  // namespace

void ViewHistory::Keep(std::shared_ptr<const ViewSnapshot> view) {
  MutexLock lock(&mu_);
  kept_.push_front(std::move(view));
  if (kept_.size() > kKept) kept_.pop_back();
}

bool ViewHistory::Differ(const Snapshot& a, const Snapshot& b) const {
  std::vector<char> matched(view_.globs().size(), 0);
  for (const FileDifference& difference : DiffFiles(a.files, b.files)) {
    if (view_.Selects(difference.path(), &matched)) return true;
  }
  return false;
}

std::shared_ptr<ViewRun> ViewHistory::RunFrom(const ViewState& newest,
                                              std::shared_ptr<const Snapshot> snapshot) const {
  auto run = std::make_shared<ViewRun>(snapshot->version);
  while (auto next = NextVersion(newest, snapshot->version)) {
    // A version between the two may be gone, and may have had another view.
    if (DroppedUpTo(newest) > snapshot->version) break;
    if (Differ(*snapshot, *next)) {
      run->End(next->publish_time);
      break;
    }
    if (next->version == newest.view->snapshot()->version) return newest.position->run;
    run->Extend(next->version);
    snapshot = std::move(next);
  }
  return run;
}

std::shared_ptr<const ViewSnapshot> ViewHistory::ViewOf(const ViewState& newest,
                                                        std::shared_ptr<const Snapshot> snapshot) {
  const int64_t version = snapshot->version;
  if (version == newest.view->snapshot()->version) return newest.view;
  if (auto found = views_.Find(version)) return found;
  std::shared_ptr<ViewRun> run = RunFrom(newest, snapshot);
  return views_.Add(
      version, std::make_shared<const ViewSnapshot>(std::move(snapshot), view_, std::move(run)));
}

std::shared_ptr<const ViewSnapshot> ViewHistory::FindHeld(const ViewState& newest,
                                                          const ResumeToken& held) {
  {
    // Equal digest, equal files, whatever the version.
    MutexLock lock(&mu_);
    for (const auto& view : kept_) {
      if (view->position()->view_digest() == held.view_digest) return view;
    }
  }
  if (newest.history == nullptr) return nullptr;
  auto snapshot = newest.history->Find(held.version);
  if (snapshot == nullptr || snapshot->epoch != held.epoch ||
      snapshot->version > newest.view->snapshot()->version) {
    return nullptr;
  }
  auto view = ViewOf(newest, std::move(snapshot));
  return view->position()->view_digest() == held.view_digest ? view : nullptr;
}

std::shared_ptr<const ViewMessage> ViewHistory::UpdateFrom(
    const ViewState& newest, const ResumeToken& held,
    const std::shared_ptr<const ViewSnapshot>& target) {
  const ResumeToken& to = target->position()->token;
  // Versions compare only within an epoch, so a client could not tell what the base is.
  if (held.epoch != to.epoch || held.version < 1 || held.version >= to.version) return target;
  const DeltaKey key(held.version, held.view_digest, target->id());
  if (auto found = updates_.Find(key)) return found;
  const auto base = FindHeld(newest, held);
  if (base == nullptr) return target;
  auto delta = std::make_shared<const ViewDelta>(*base->snapshot(), held.version, *target, view_);
  if (!delta->IsSmallerThan(*target)) return updates_.Add(key, target);
  return updates_.Add(key, std::move(delta));
}

absl::StatusOr<std::shared_ptr<const ViewRun>> ViewHistory::Resume(
    const ViewState& newest, const std::optional<ResumeToken>& token) {
  const ResumeToken& current = newest.position->token;
  if (!token.has_value() || !token->SameView(current)) {
    return CannotResume(newest, "the resume_token is not one of this source and these path_globs");
  }
  const auto foreign = [&newest] {
    return CannotResume(newest, "the resume_token is of another epoch of the source's history");
  };
  if (token->version > current.version && token->epoch == current.epoch) {
    return CannotResume(newest,
                        absl::StrCat("version ", token->version,
                                     " is ahead of the server, whose newest is ", current.version));
  }
  if (token->version < 1 || token->version > current.version) return foreign();
  std::shared_ptr<const Snapshot> snapshot =
      token->version == current.version ? newest.view->snapshot()
      : newest.history == nullptr       ? nullptr
                                        : newest.history->Find(token->version);
  if (snapshot != nullptr) {
    const auto view = ViewOf(newest, std::move(snapshot));
    const ResumeToken& known = view->position()->token;
    if (known.epoch != token->epoch || known.view_digest != token->view_digest) return foreign();
    return view->position()->run;
  }
  // That version is not retained. It may have been the last one dropped, or one that was lost with
  // the server before it was recorded: what matters is that nothing after it is missing.
  const auto next = NextVersion(newest, token->version);
  if (DroppedUpTo(newest) > token->version) {
    return CannotResume(newest,
                        absl::StrCat("versions after ", token->version, " are no longer retained"));
  }
  if (next->epoch != token->epoch) return foreign();
  const auto view = ViewOf(newest, next);
  if (view->position()->view_digest() == token->view_digest) return view->position()->run;
  return std::make_shared<const ViewRun>(token->version);
}

absl::StatusOr<std::shared_ptr<const ViewSnapshot>> ViewHistory::Next(const ViewState& newest,
                                                                      const ViewRun& run) {
  const int64_t after = run.last_version();
  auto next = NextVersion(newest, after);
  if (DroppedUpTo(newest) > after) {
    return ErrorWithReason(absl::StatusCode::kResourceExhausted, kVersionCompacted,
                           absl::StrCat("the stream was too slow: versions of source `",
                                        newest.view->snapshot()->source, "` after ", after,
                                        ", which it was still to be sent, are no longer retained; ",
                                        OldestRetained(newest)));
  }
  if (next == nullptr) return newest.view;
  return ViewOf(newest, std::move(next));
}

std::shared_ptr<const std::vector<ViewChange>> ViewHistory::Changes(const ViewState& newest) {
  const int64_t up_to = newest.view->snapshot()->version;
  {
    MutexLock lock(&mu_);
    if (changes_ != nullptr && changes_up_to_ == up_to) return changes_;
  }
  auto changes = std::make_shared<std::vector<ViewChange>>();
  std::shared_ptr<const Snapshot> before;
  while (auto version = NextVersion(newest, before == nullptr ? 0 : before->version)) {
    if (before == nullptr || Differ(*before, *version)) {
      changes->push_back({version->version, version->publish_time});
    }
    before = std::move(version);
  }
  MutexLock lock(&mu_);
  changes_up_to_ = up_to;
  changes_ = changes;
  return changes;
}

}  // namespace confstream
