// Optional: configuration in JSON, for programs that use nlohmann/json.

#ifndef CONFSTREAM_JSON_H_
#define CONFSTREAM_JSON_H_

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "client.h"

namespace confstream {
inline namespace client {

// The file at `path`, parsed. Throws std::runtime_error, which names the file, if it is missing or
// is no JSON: in on_change that rejects the version.
inline nlohmann::json ParseJson(const Snapshot& snapshot, std::string_view path) {
  const File* const file = snapshot.Find(path);
  if (file == nullptr) throw std::runtime_error("there is no file " + std::string(path));
  try {
    return nlohmann::json::parse(*file->content);
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(file->path + ": " + error.what());
  }
}

}  // namespace client
}  // namespace confstream

#endif  // CONFSTREAM_JSON_H_
