// How the content of a version is cut into messages.

#ifndef CONFSTREAM_SERVER_FANOUT_FRAGMENT_H_
#define CONFSTREAM_SERVER_FANOUT_FRAGMENT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "confstream/v1/config_service.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/snapshot/snapshot.h"

namespace confstream {

// A file or a part of it; points to what was cut.
struct FilePiece {
  const SnapshotFile* file;
  int64_t offset;
  int64_t length;
};

// What one message carries; points to what was cut.
struct Fragment {
  std::vector<FilePiece> files;
  std::vector<const std::string*> removed_paths;
};

// Cuts in the order in which things are added. Thread-compatible.
class FragmentCutter {
 public:
  // Fragments have about this many bytes of content at most: well under the 4 MiB that clients
  // accept by default.
  static constexpr int64_t kFragmentBytes = int64_t{1} << 20;

  // A file that fits one fragment is not split.
  void AddFile(const SnapshotFile& file);
  void AddRemovedPath(const std::string& path);

  // At least one.
  std::vector<Fragment> Finish() { return std::move(fragments_); }

 private:
  void Begin();

  std::vector<Fragment> fragments_ = std::vector<Fragment>(1);
  int64_t room_ = kFragmentBytes;  // in the last fragment
};

// Adds what `files` stand for.
void FillPieces(const std::vector<FilePiece>& files,
                google::protobuf::RepeatedPtrField<v1::ConfigFile>* message);

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_FANOUT_FRAGMENT_H_
