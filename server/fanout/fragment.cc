#include "server/fanout/fragment.h"

#include <algorithm>

#include "server/fanout/messages.h"

namespace confstream {
namespace {

// What an entry costs beside content and path, generously: digest, numbers and tags.
constexpr int64_t kFileOverheadBytes = 256;
// Tag and length.
constexpr int64_t kPathOverheadBytes = 8;

}  // namespace

void FragmentCutter::Begin() {
  fragments_.emplace_back();
  room_ = kFragmentBytes;
}

void FragmentCutter::AddFile(const SnapshotFile& file) {
  const auto size = static_cast<int64_t>(file.content->bytes.size());
  const int64_t overhead = kFileOverheadBytes + static_cast<int64_t>(file.path.size());
  int64_t offset = 0;
  do {
    const bool fits = overhead + (size - offset) <= room_;
    const bool would_fit_fresh = overhead + (size - offset) <= kFragmentBytes;
    if (!fits && room_ < kFragmentBytes && (would_fit_fresh || room_ < kFragmentBytes / 2)) {
      Begin();
    }
    const int64_t length = std::min(size - offset, std::max<int64_t>(room_ - overhead, 1));
    fragments_.back().files.push_back({&file, offset, length});
    room_ -= overhead + length;
    offset += length;
  } while (offset < size);
}

void FragmentCutter::AddRemovedPath(const std::string& path) {
  const int64_t cost = kPathOverheadBytes + static_cast<int64_t>(path.size());
  if (cost > room_ && room_ < kFragmentBytes) Begin();
  fragments_.back().removed_paths.push_back(&path);
  room_ -= cost;
}

void FillPieces(const std::vector<FilePiece>& files,
                google::protobuf::RepeatedPtrField<v1::ConfigFile>* message) {
  for (const FilePiece& piece : files) {
    v1::ConfigFile* entry = message->Add();
    FillFile(*piece.file, entry);
    entry->set_content(piece.file->content->bytes.data() + piece.offset,
                       static_cast<size_t>(piece.length));
    entry->set_content_offset(piece.offset);
  }
}

}  // namespace confstream
