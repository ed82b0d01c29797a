// Links and listings over any tree, against an oracle that knows paths as texts only. The input,
// one a line, every word of which is a path unless said otherwise:
//   d PATH | f PATH | o PATH      a directory, a file, a device
//   l PATH TEXT                   a link
//   s PATH                        the source; s! PATH: it is known to be a Kubernetes volume
//   r PATH                        a directory that links may lead into
//   i GLOB | x GLOB               include, exclude
//   m PATH                        a file system that may hang is mounted there
//   n FILES DEPTH                 limits, two digits
//   k                             the file system does not tell kinds while listing

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/source_tree.h"
#include "tests/fakes/memory_file_system.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/tree_oracle.h"

namespace confstream {
namespace {

// What the input describes.
class Scene {
 public:
  explicit Scene(absl::string_view input) {
    rules_.max_files = 30;
    rules_.max_depth = 8;
    int entries = 0;
    for (const absl::string_view line : absl::StrSplit(input, '\n')) {
      if (++entries > 200) break;
      std::vector<std::string> words = absl::StrSplit(line, ' ');
      words.resize(3);
      Take(words[0], words[1], words[2]);
    }
    file_system_.set_mounts(MountTable::Parse(mountinfo_));
  }

  void Run() {
    const LinkResolver resolver(&file_system_);
    const ResolvedPath resolved = resolver.ResolveSource(source_, is_volume_);
    RequireBounded(resolved);
    const TreeOracle::Place place = oracle_.ResolveSource(source_, is_volume_);
    Require(resolved.status.ok() == place.found, "a path is found if it leads somewhere");
    if (place.found) {
      Require(resolved.target == place.path, "it leads where its links say");
      const auto tree = ListSourceTree(&file_system_, resolved, rules_);
      Require(tree.ok(), "a tree that stands still can be listed");
      Compare(*tree, oracle_.List(place, resolved.name, resolved.kubernetes_volume, rules_));
    }
    if (!mountinfo_.empty()) RunGuarded();
  }

 private:
  void Take(absl::string_view word, const std::string& path, const std::string& text) {
    if (word == "d" && file_system_.AddDirectory(path)) oracle_.Add(path, FileKind::kDirectory, "");
    if (word == "f" && file_system_.AddFile(path, "")) oracle_.Add(path, FileKind::kRegular, "");
    if (word == "o" && file_system_.AddDevice(path)) oracle_.Add(path, FileKind::kOther, "");
    if (word == "l" && !text.empty() && file_system_.AddLink(path, text)) {
      oracle_.Add(path, FileKind::kLink, text);
    }
    if (word == "s" || word == "s!") {
      source_ = absl::StrCat("/", path);
      is_volume_ = word == "s!";
    }
    if (word == "r") rules_.link_roots.push_back(absl::StrCat("/", path));
    if (word == "i" || word == "x") {
      const auto glob = PathGlob::Parse(path);
      if (glob.ok()) (word == "i" ? rules_.include : rules_.exclude).push_back(*glob);
    }
    if (word == "m") {
      absl::StrAppend(&mountinfo_, "2 1 0:1 / /", absl::StripPrefix(path, "/"),
                      " rw - nfs4 server rw\n");
    }
    if (word == "n" && path.size() == 2 && absl::ascii_isdigit(path[0]) &&
        absl::ascii_isdigit(path[1])) {
      rules_.max_files = path[0] - '0';
      rules_.max_depth = path[1] - '0';
    }
    if (word == "k") file_system_.set_tells_kinds(false);
  }

  static void RequireBounded(const ResolvedPath& resolved) {
    int links = 0;
    for (const Hop& hop : resolved.hops) links += hop.link_text.empty() ? 0 : 1;
    Require(links <= 40, "at most 40 links are followed");
  }

  // Where the descriptors of the tree really lead.
  std::string PathOf(const SourceTree& tree, const TreeFile& file) {
    const auto opened = OpenListed(&file_system_, tree, file);
    Require(opened.ok(), "what was listed can be opened");
    return file_system_.PathOf((*opened)->get());
  }

  void Compare(const SourceTree& tree, const TreeOracle::Listing& expected) {
    Require(tree.files.size() <= static_cast<size_t>(rules_.max_files) || tree.directories.empty(),
            "no more files than the limit");
    std::set<std::pair<std::string, std::string>> files;
    const std::string* before = nullptr;
    for (const TreeFile& file : tree.files) {
      Require(before == nullptr || *before < file.path, "files are in order and once");
      before = &file.path;
      files.emplace(file.path, PathOf(tree, file));
    }
    std::set<std::pair<std::string, std::string>> refusals;
    bool too_many = false;
    for (const TreeRefusal& refusal : tree.refusals) {
      Require(!refusal.message.empty(), "a refusal says why");
      too_many = too_many || refusal.rule == "limits.files";
      refusals.emplace(refusal.path, refusal.rule);
    }
    if (too_many || expected.cut) {
      Require(too_many == expected.cut, "too many files are refused, and no others");
      for (const auto& file : files) {
        Require(expected.files.count(file) == 1, "what is listed of too many is right");
      }
      return;
    }
    Require(files == expected.files, "the files are those that paths and links lead to");
    Require(refusals == expected.refusals, "what may not be followed is refused, and no more");
  }

  // With a guard, what it forbids is never opened.
  void RunGuarded() {
    const MountGuard guard(*file_system_.Mounts());
    file_system_.ForgetOpened();
    const LinkResolver resolver(&file_system_, &guard);
    const ResolvedPath resolved = resolver.ResolveSource(source_, is_volume_);
    if (resolved.status.ok()) {
      const auto tree = ListSourceTree(&file_system_, resolved, rules_, &guard);
      Require(tree.ok(), "what is guarded is left out");
      for (const TreeFile& file : tree->files) {
        Require(guard.MayTouch(PathOf(*tree, file)).ok(), "what is guarded is not listed");
      }
    }
    for (const std::string& path : file_system_.opened()) {
      Require(guard.MayTouch(path).ok(), "what is guarded is not touched");
    }
  }

  MemoryFileSystem file_system_;
  TreeOracle oracle_;
  TreeRules rules_;
  std::string source_ = "/s";
  bool is_volume_ = false;
  std::string mountinfo_;
};

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::Scene(confstream::AsText(data, size)).Run();
  return 0;
}
