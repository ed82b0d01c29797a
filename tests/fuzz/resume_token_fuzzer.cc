// Resume tokens and page tokens: any text is decoded or refused, and what is encoded decodes to the
// same.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "server/fanout/resume_token.h"
#include "tests/fuzz/fuzzing.h"

namespace confstream {
namespace {

void RequireSurvives(const ResumeToken& token) {
  const auto decoded = ResumeToken::Decode(token.Encode());
  Require(decoded.has_value(), "an encoded token decodes");
  Require(decoded->epoch == token.epoch && decoded->version == token.version &&
              decoded->view_digest == token.view_digest && decoded->SameView(token),
          "an encoded token decodes to the same");
  Require(decoded->Encode() == token.Encode(), "tokens have one text");
}

ResumeToken AnyToken(FuzzedDataProvider* data) {
  ResumeToken token;
  token.version = data->ConsumeIntegral<int64_t>();
  std::string epoch = data->ConsumeBytesAsString(16);
  epoch.resize(16);
  token.epoch = absl::BytesToHexString(epoch);
  data->ConsumeData(token.view_digest.bytes.data(), token.view_digest.bytes.size());
  data->ConsumeData(token.view_hash.bytes.data(), token.view_hash.bytes.size());
  return token;
}

}  // namespace
}  // namespace confstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using confstream::ResumeToken;
  if (const auto token = ResumeToken::Decode(confstream::AsText(data, size))) {
    confstream::Require(token->epoch.size() == 32, "a decoded epoch has 32 digits");
    confstream::RequireSurvives(*token);
  }
  FuzzedDataProvider provider(data, size);
  confstream::RequireSurvives(confstream::AnyToken(&provider));
  return 0;
}
