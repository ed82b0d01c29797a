// A checksum manifest. The input: paths of files, one a line; an empty line; the manifest.

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/validate/checksum_manifest.h"
#include "tests/fuzz/document_fuzzing.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/sha256sum_text.h"

namespace confstream {
namespace {

constexpr char kManifest[] = "SHA256SUMS";

using Files = std::map<std::string, std::string>;

Generation WithManifest(Files files, const std::string& manifest) {
  files[kManifest] = manifest;
  Generation generation;
  for (const auto& [path, bytes] : files) {
    generation.files.push_back(
        {path, std::make_shared<const FileContent>(FileContent{bytes, Sha256::Of(bytes)})});
  }
  return generation;
}

ViolationList Check(const Files& files, const std::string& manifest) {
  ViolationList found;
  CheckChecksums(kManifest, WithManifest(files, manifest), true, &found);
  return found;
}

void Run(absl::string_view input) {
  Files files;
  while (!input.empty() && files.size() < 20) {
    const absl::string_view line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
    if (line.empty()) break;
    // Readers of a source never find such paths.
    if (absl::StartsWith(line, "./") || line == kManifest) continue;
    files[std::string(line)] = absl::StrCat("content of ", line);
  }

  Require(Check(files, Sha256sumText(files)).total() == 0, "what sha256sum prints is right");

  const std::string manifest(input);
  const ViolationList found = Check(files, manifest);
  for (const Violation& violation : found.kept()) {
    RequireWithin(violation.path == kManifest ? manifest : "", violation);
  }
  if (found.total() > 0) return;
  for (const auto& [path, bytes] : files) {
    Require(absl::StrContains(absl::AsciiStrToLower(manifest), Sha256::Of(bytes).Hex()),
            "a manifest that passes has the digest of every file");
  }
}

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  confstream::Run(confstream::AsText(data, size));
  return 0;
}
