// Says by texts alone, without descriptors, where paths lead and what belongs to a source: the
// naive way to say what link_resolver.h and source_tree.h say.

#ifndef CONFSTREAM_TESTS_FUZZ_TREE_ORACLE_H_
#define CONFSTREAM_TESTS_FUZZ_TREE_ORACLE_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/file_system.h"
#include "server/base/source_tree.h"

namespace confstream {

// Thread-compatible.
class TreeOracle {
 public:
  // The end of a path.
  struct Place {
    bool found = false;
    std::string path;  // real
    std::string root;  // real path of the last link's target, else `path`
  };

  struct Listing {
    std::set<std::pair<std::string, std::string>> files;     // path and real path
    std::set<std::pair<std::string, std::string>> refusals;  // path and rule
    bool cut = false;  // there are more files or directories than allowed
  };

  // An entry that was made, with the directories that lead to it.
  void Add(absl::string_view path, FileKind kind, std::string text);

  Place Resolve(const std::string& path) const;
  Place ResolveSource(const std::string& path, bool is_volume) const;

  // `name` is what a source that is one file is called.
  Listing List(const Place& source, const std::string& name, bool volume,
               const TreeRules& rules) const;

  static std::string Join(const std::string& directory, const std::string& name);

 private:
  struct Entry {
    FileKind kind;
    std::string text;  // of a link
  };
  class Walk;
  class Lister;

  std::map<std::string, Entry> entries_ = {{"/", {FileKind::kDirectory, ""}}};  // by real path
};

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FUZZ_TREE_ORACLE_H_
