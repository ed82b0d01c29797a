#include "server/base/config_reloads.h"

#include <gtest/gtest.h>

namespace confstream {
namespace {

const absl::Time kStart = absl::UnixEpoch();
const absl::Time kLater = kStart + absl::Hours(1);

TEST(ConfigReloadsTest, RefusalStandsUntilAConfigurationIsLoaded) {
  ConfigReloads reloads(kStart);
  EXPECT_FALSE(reloads.status().refusal_time.has_value());
  reloads.NoteRefused(kLater, "a.yaml:1: first\na.yaml:2: second\x01");
  EXPECT_EQ(reloads.status().load_time, kStart);
  EXPECT_EQ(reloads.status().refusal_time, kLater);
  EXPECT_EQ(reloads.status().refusal_reason, "a.yaml:1: first\na.yaml:2: second\\x01");
  reloads.NoteLoaded(kLater + absl::Seconds(1));
  EXPECT_EQ(reloads.status().load_time, kLater + absl::Seconds(1));
  EXPECT_FALSE(reloads.status().refusal_time.has_value());
  EXPECT_EQ(reloads.status().refusal_reason, "");
}

TEST(ConfigReloadsTest, LongReasonIsCut) {
  ConfigReloads reloads(kStart);
  reloads.NoteRefused(kLater, std::string(ConfigReloads::kMaxReasonBytes + 1, 'x'));
  EXPECT_LE(reloads.status().refusal_reason.size(), ConfigReloads::kMaxReasonBytes);
  EXPECT_GT(reloads.status().refusal_reason.size(), ConfigReloads::kMaxReasonBytes - 10);
}

}  // namespace
}  // namespace confstream
