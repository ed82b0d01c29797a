#include "server/snapshot/violation.h"

#include <gtest/gtest.h>

namespace confstream {
namespace {

TEST(ViolationTest, IsWrittenWithoutWhatIsNotKnown) {
  EXPECT_EQ(TextOf({"a.yaml", 3, 7, "yaml.syntax", "why"}), "a.yaml:3:7: yaml.syntax: why");
  EXPECT_EQ(TextOf({"a.yaml", 3, 0, "yaml.syntax", "why"}), "a.yaml:3: yaml.syntax: why");
  EXPECT_EQ(TextOf({"a.yaml", 0, 0, "limits.file_size", "why"}), "a.yaml: limits.file_size: why");
  EXPECT_EQ(TextOf({"", 0, 0, "source.missing", "why"}), ".: source.missing: why");
}

}  // namespace
}  // namespace confstream
