#include "server/fanout/resume_token.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "server/fanout/view.h"
#include "tests/fakes/snapshots.h"

namespace confstream {
namespace {

ResumeToken Token(int64_t version = 42) {
  return {"0123456789abcdef0123456789abcdef", version, Sha256::Of("files"),
          View::Parse({"*.yaml"})->HashFor("app")};
}

std::string Bytes(const std::string& text) {
  std::string bytes;
  EXPECT_TRUE(absl::WebSafeBase64Unescape(text, &bytes));
  return bytes;
}

TEST(ResumeTokenTest, SurvivesEncoding) {
  for (const int64_t version : {int64_t{1}, int64_t{255}, int64_t{256}, (int64_t{1} << 53) - 1}) {
    const auto decoded = ResumeToken::Decode(Token(version).Encode());
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->epoch, Token().epoch);
    EXPECT_EQ(decoded->version, version);
    EXPECT_EQ(decoded->view_digest, Token().view_digest);
    EXPECT_TRUE(decoded->SameView(Token()));
    EXPECT_TRUE(Token().SameView(*decoded));
    EXPECT_EQ(decoded->Encode(), Token(version).Encode());
  }
}

TEST(ResumeTokenTest, TextIsBase64UrlThatNeedsNoEscapingAnywhere) {
  // Digests whose bytes make the characters that distinguish base64url from base64.
  ResumeToken token = Token();
  token.view_digest.bytes.fill(0xfb);
  token.view_hash.bytes.fill(0xff);
  const std::string text = token.Encode();
  EXPECT_NE(text.find('-'), std::string::npos);
  EXPECT_NE(text.find('_'), std::string::npos);
  EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  })) << text;
  EXPECT_EQ(ResumeToken::Decode(text)->view_digest, token.view_digest);
}

TEST(ResumeTokenTest, TokensOfAnotherViewOrSourceAreTold) {
  ResumeToken other = Token();
  other.view_hash = View::Parse({"*.json"})->HashFor("app");
  EXPECT_FALSE(Token().SameView(other));
  other.view_hash = View::Parse({"*.yaml"})->HashFor("other");
  EXPECT_FALSE(Token().SameView(other));
  EXPECT_FALSE(ResumeToken::Decode(other.Encode())->SameView(Token()));
}

TEST(ResumeTokenTest, VersionAndViewDigestDoNotMakeAnotherView) {
  ResumeToken other = Token(43);
  other.view_digest = Sha256::Of("other files");
  other.epoch = kEpochB;
  EXPECT_TRUE(Token().SameView(other));
}

TEST(ResumeTokenTest, TextThatIsNoTokenIsNone) {
  const std::string good = Token().Encode();
  const std::string bytes = Bytes(good);
  std::string other_format = bytes;
  other_format[0] = 2;
  const std::string malformed[] = {
      "",
      "x",
      "not base64 at all!",
      std::string(200, '\0'),
      good.substr(0, good.size() - 2),             // cut off
      good + good,                                 // twice
      good.substr(0, 40) + "%" + good.substr(41),  // a character that is not of base64url
      good.substr(0, 40) + "+" + good.substr(41),  // one of plain base64
      absl::WebSafeBase64Escape(bytes.substr(1)),  // a byte too few
      absl::WebSafeBase64Escape(bytes + "x"),      // a byte too many
      absl::WebSafeBase64Escape(other_format),     // of a format to come
      std::string(1 << 20, 'A'),                   // long
  };
  for (const std::string& text : malformed) {
    EXPECT_FALSE(ResumeToken::Decode(text).has_value()) << text.substr(0, 120);
  }
}

TEST(ResumeTokenTest, AnyBytesOfTheRightLengthDecodeWithoutHarm) {
  std::string bytes = Bytes(Token().Encode());
  for (size_t i = 1; i < bytes.size(); ++i) bytes[i] = '\xff';
  const auto decoded = ResumeToken::Decode(absl::WebSafeBase64Escape(bytes));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_LT(decoded->version, 0);
  EXPECT_EQ(decoded->epoch, std::string(32, 'f'));
}

}  // namespace
}  // namespace confstream
