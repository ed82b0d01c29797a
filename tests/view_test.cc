#include "server/fanout/view.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace confstream {
namespace {

View Parsed(std::vector<std::string> globs) { return *View::Parse(std::move(globs)); }

bool Selects(const View& view, const std::string& path) {
  std::vector<char> matched(view.globs().size(), 0);
  return view.Selects(path, &matched);
}

TEST(ViewTest, OrderAndRepetitionOfGlobsMakeNoOtherView) {
  const View view = Parsed({"b/*", "a.yaml", "b/*"});
  EXPECT_EQ(view.key(), Parsed({"a.yaml", "b/*"}).key());
  EXPECT_EQ(view.HashFor("app"), Parsed({"a.yaml", "b/*"}).HashFor("app"));
  ASSERT_EQ(view.globs().size(), 2u);
  EXPECT_EQ(view.globs()[0].pattern(), "a.yaml");
  EXPECT_EQ(view.globs()[1].pattern(), "b/*");
}

TEST(ViewTest, DifferentGlobsMakeDifferentKeysHoweverTheyAreJoined) {
  EXPECT_NE(Parsed({}).key(), Parsed({"**"}).key());
  EXPECT_NE(Parsed({"a", "b"}).key(), Parsed({"ab"}).key());
  EXPECT_NE(Parsed({"a", "b"}).key(), Parsed({"a1:b"}).key());
  EXPECT_NE(Parsed({"a1:b"}).key(), Parsed({"a", "1:b"}).key());
}

TEST(ViewTest, HashTellsSourcesApartHoweverTheirNamesAreJoinedWithGlobs) {
  EXPECT_NE(Parsed({}).HashFor("app"), Parsed({}).HashFor("app2"));
  EXPECT_NE(Parsed({"a"}).HashFor("app"), Parsed({}).HashFor("app/1:a"));
}

TEST(ViewTest, WithoutGlobsEveryFileIsSelected) {
  EXPECT_TRUE(Selects(Parsed({}), "a.yaml"));
  EXPECT_TRUE(Selects(Parsed({}), "deep/below/b.json"));
}

TEST(ViewTest, FileIsSelectedByAnyOfTheGlobs) {
  const View view = Parsed({"*.yaml", "conf.d/**"});
  EXPECT_TRUE(Selects(view, "a.yaml"));
  EXPECT_TRUE(Selects(view, "conf.d/x/y.json"));
  EXPECT_FALSE(Selects(view, "a.json"));
  EXPECT_FALSE(Selects(view, "sub/a.yaml"));
}

TEST(ViewTest, EveryGlobThatSelectsAFileIsMarkedAndNoOther) {
  const View view = Parsed({"*.yaml", "a*", "b*"});
  std::vector<char> matched(3, 0);
  EXPECT_TRUE(view.Selects("a.yaml", &matched));
  EXPECT_EQ(matched, (std::vector<char>{1, 1, 0}));
  EXPECT_FALSE(view.Selects("c.json", &matched));
  EXPECT_EQ(matched, (std::vector<char>{1, 1, 0}));
}

TEST(ViewTest, BadGlobIsRefusedWithItsText) {
  const auto view = View::Parse({"a", "b\\"});
  EXPECT_EQ(view.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(view.status().message().find("b\\\\"), absl::string_view::npos) << view.status();
}

TEST(ViewTest, AsManyGlobsAsAllowedAreTakenAndOneMoreIsRefused) {
  std::vector<std::string> globs;
  for (size_t i = 0; i < View::kMaxGlobs; ++i) globs.push_back("file" + std::to_string(i));
  EXPECT_TRUE(View::Parse(globs).ok());
  globs.push_back("one-more");
  const auto refused = View::Parse(globs);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("65"), absl::string_view::npos) << refused.status();
}

}  // namespace
}  // namespace confstream
