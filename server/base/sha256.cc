#include "server/base/sha256.h"

#include <openssl/evp.h>

#include <tuple>

#include "absl/strings/str_cat.h"

namespace confstream {

Sha256 Sha256::Of(absl::string_view text) {
  Sha256Hasher hasher;
  hasher.Update(text);
  return hasher.Finish();
}

std::string Sha256::Hex() const {
  std::string hex;
  AppendHex(&hex);
  return hex;
}

void Sha256::AppendHex(std::string* text) const {
  static constexpr char kDigits[] = "0123456789abcdef";
  char hex[2 * std::tuple_size<decltype(bytes)>::value];
  char* to = hex;
  for (const uint8_t byte : bytes) {
    *to++ = kDigits[byte >> 4];
    *to++ = kDigits[byte & 15];
  }
  text->append(hex, sizeof(hex));
}

std::string Sha256::Text() const { return absl::StrCat("sha256:", Hex()); }

Sha256Hasher::Sha256Hasher() : context_(EVP_MD_CTX_new()) {
  EVP_DigestInit_ex(context_, EVP_sha256(), nullptr);
}

Sha256Hasher::~Sha256Hasher() { EVP_MD_CTX_free(context_); }

void Sha256Hasher::Update(absl::string_view text) {
  EVP_DigestUpdate(context_, text.data(), text.size());
}

Sha256 Sha256Hasher::Finish() {
  Sha256 digest;
  EVP_DigestFinal_ex(context_, digest.bytes.data(), nullptr);
  return digest;
}

}  // namespace confstream
