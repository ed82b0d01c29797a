// Writing files the ways programs do, for tests.

#ifndef CONFSTREAM_TESTS_FAKES_FILES_H_
#define CONFSTREAM_TESTS_FAKES_FILES_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace confstream {

// Writes in place; parent directories are made.
inline void WriteFile(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// As `ln -sfn`: removes what is there and makes the link anew.
inline void MakeLink(const std::string& target, const std::string& path) {
  std::filesystem::remove(path);
  std::filesystem::create_symlink(target, path);
}

// Replaces a link atomically, as `mv -T` does.
inline void SwapLink(const std::string& target, const std::string& path) {
  std::filesystem::create_symlink(target, path + ".new");
  std::filesystem::rename(path + ".new", path);
}

}  // namespace confstream

#endif  // CONFSTREAM_TESTS_FAKES_FILES_H_
