#include "server/fanout/view_delta.h"

#include "google/protobuf/io/coded_stream.h"
#include "server/fanout/messages.h"
#include "server/snapshot/snapshot_diff.h"

namespace confstream {
namespace {

// Of a field that has a length: the tag, the length and the bytes.
size_t FieldBytes(size_t length) {
  return 1 + google::protobuf::io::CodedOutputStream::VarintSize64(length) + length;
}

// Of the whole file as an entry of a message.
size_t EncodedBytes(const SnapshotFile& file) {
  v1::ConfigFile entry;
  FillFile(file, &entry);
  const size_t content = file.content->bytes.size();
  return FieldBytes(entry.ByteSizeLong() + (content == 0 ? 0 : FieldBytes(content)));
}

}  // namespace

ViewDelta::ViewDelta(const Snapshot& base, int64_t base_version, const ViewSnapshot& target,
                     const View& view)
    : base_version_(base_version), missing_globs_(target.missing_globs()) {
  std::vector<char> matched(view.globs().size(), 0);
  for (const FileDifference& difference : DiffFiles(base.files, target.snapshot()->files)) {
    if (!view.Selects(difference.path(), &matched)) continue;
    if (difference.to == nullptr) {
      removed_paths_.push_back(difference.path());
    } else {
      changed_files_.push_back(*difference.to);
    }
  }
  FragmentCutter cutter;
  for (const SnapshotFile& file : changed_files_) cutter.AddFile(file);
  for (const std::string& path : removed_paths_) cutter.AddRemovedPath(path);
  fragments_ = cutter.Finish();
  position_ = target.position();
}

bool ViewDelta::IsSmallerThan(const ViewSnapshot& target) const {
  v1::Delta numbers;
  numbers.set_base_version(base_version_);
  size_t bytes = numbers.ByteSizeLong();
  for (const SnapshotFile& file : changed_files_) bytes += EncodedBytes(file);
  for (const std::string& path : removed_paths_) bytes += FieldBytes(path.size());
  size_t whole = 0;
  for (const SnapshotFile* file : target.files()) {
    whole += EncodedBytes(*file);
    if (bytes < whole) return true;
  }
  return false;
}

void ViewDelta::FillEvent(const Fragment& fragment, bool last, v1::WatchResponse* response) const {
  v1::Delta* message = response->mutable_delta();
  message->set_base_version(base_version_);
  message->set_view_digest(position_->view_digest().Text());
  FillPieces(fragment.files, message->mutable_changed_files());
  for (const std::string* path : fragment.removed_paths) message->add_removed_paths(*path);
  if (!last) return;
  message->mutable_missing_globs()->Assign(missing_globs_.begin(), missing_globs_.end());
}

}  // namespace confstream
