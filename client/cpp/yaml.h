// Optional: configuration in YAML, for programs that use yaml-cpp.

#ifndef CONFSTREAM_YAML_H_
#define CONFSTREAM_YAML_H_

#include <yaml-cpp/yaml.h>

#include <stdexcept>
#include <string>
#include <string_view>

#include "client.h"

namespace confstream {
inline namespace client {

// The first document of the file at `path`, parsed. Throws std::runtime_error, which names the
// file, if it is missing or is no YAML: in on_change that rejects the version.
inline YAML::Node ParseYaml(const Snapshot& snapshot, std::string_view path) {
  const File* const file = snapshot.Find(path);
  if (file == nullptr) throw std::runtime_error("there is no file " + std::string(path));
  try {
    return YAML::Load(*file->content);
  } catch (const YAML::Exception& error) {
    throw std::runtime_error(file->path + ": " + error.what());
  }
}

}  // namespace client
}  // namespace confstream

#endif  // CONFSTREAM_YAML_H_
