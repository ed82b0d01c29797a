// The texts of settings, and docs/configuration.md, which must say what the tables say.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/config/listen_address.h"
#include "server/config/setting.h"
#include "server/config/setting_text.h"
#include "server/validate/json_syntax.h"
#include "server/validate/toml_syntax.h"
#include "server/validate/yaml_syntax.h"

namespace confstream {
namespace {

using ::testing::HasSubstr;

TEST(SettingTextTest, DurationsNeedUnitsAndBounds) {
  const auto parse = [](absl::string_view text) {
    return ParseDurationSetting(text, absl::Milliseconds(10), absl::Hours(1));
  };
  EXPECT_EQ(*parse("1m30.5s"), absl::Seconds(90.5));
  EXPECT_EQ(*parse("10ms"), absl::Milliseconds(10));
  EXPECT_EQ(*parse("1h"), absl::Hours(1));
  for (const char* text : {"5", "5 parsecs", "", "s", "1 s", "1d", "1s "}) {
    EXPECT_THAT(parse(text).status().ToString(), HasSubstr("is not a duration")) << text;
  }
  for (const char* text : {"9ms", "0", "-1s", "61m", "inf", "-inf"}) {
    EXPECT_THAT(parse(text).status().ToString(), HasSubstr("it can be from 10ms to 1h")) << text;
  }
}

TEST(SettingTextTest, SizesAreBytesOrBinaryUnits) {
  const auto parse = [](absl::string_view text) {
    return ParseSizeSetting(text, 1, std::numeric_limits<int64_t>::max());
  };
  EXPECT_EQ(*parse("4096"), 4096);
  EXPECT_EQ(*parse("16MiB"), 16 << 20);
  EXPECT_EQ(*parse("3GiB"), int64_t{3} << 30);
  EXPECT_EQ(*parse("9223372036854775807"), std::numeric_limits<int64_t>::max());
  for (const char* text : {"", "MiB", "1.5MiB", "16MB", "16 MiB", "-1", "0x10", "+1"}) {
    EXPECT_THAT(parse(text).status().ToString(), HasSubstr("is not a size")) << text;
  }
  for (const char* text :
       {"0", "9223372036854775808", "9007199254740993KiB", "99999999999999999999GiB"}) {
    EXPECT_THAT(parse(text).status().ToString(), HasSubstr("out of bounds")) << text;
  }
}

TEST(SettingTextTest, SizesAreShownInTheLargestFittingUnit) {
  EXPECT_EQ(FormatSize(0), "0");
  EXPECT_EQ(FormatSize(1000), "1000");
  EXPECT_EQ(FormatSize(1536), "1536");
  EXPECT_EQ(FormatSize(2048), "2KiB");
  EXPECT_EQ(FormatSize(int64_t{5} << 30), "5GiB");
}

TEST(SettingTextTest, NumbersAreDecimalAndBounded) {
  EXPECT_EQ(*ParseCountSetting("0", 0, 5), 0);
  EXPECT_EQ(*ParseCountSetting("5", 0, 5), 5);
  for (const char* text : {"", "a", "1.0", " 1", "1e3", "+1", "-"}) {
    EXPECT_THAT(ParseCountSetting(text, 0, 5).status().ToString(), HasSubstr("is not a number"));
  }
  for (const char* text : {"6", "-1", "99999999999999999999"}) {
    EXPECT_THAT(ParseCountSetting(text, 0, 5).status().ToString(), HasSubstr("from 0 to 5"));
  }
}

TEST(SettingTextTest, PathsBecomeAbsoluteAsTextOnly) {
  EXPECT_EQ(*ParsePathSetting("/a//b/./c/", "/dir"), "/a/b/c");
  EXPECT_EQ(*ParsePathSetting("a/../b", "/dir"), "/dir/a/../b");
  EXPECT_EQ(*ParsePathSetting(".", "/dir"), "/dir");
  EXPECT_EQ(*ParsePathSetting("/", "/dir"), "/");
  EXPECT_FALSE(ParsePathSetting("", "/dir").ok());
  EXPECT_FALSE(ParsePathSetting("a\nb", "/dir").ok());
  EXPECT_FALSE(ParsePathSetting("a\xff", "/dir").ok());
}

TEST(SettingTextTest, SourceNamesAreChecked) {
  for (const std::string& name : {std::string("a"), std::string("0.a-b_c"), std::string(63, 'x')}) {
    EXPECT_TRUE(CheckSourceName(name).ok()) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("A"), std::string("-a"), std::string(".a"), std::string("a/b"),
        std::string("a b"), std::string("\xc3\xa9"), std::string(64, 'x')}) {
    EXPECT_FALSE(CheckSourceName(name).ok()) << name;
  }
}

TEST(SettingTextTest, TheNearestWordIsNearOrNone) {
  const std::vector<std::string> known = {"settle", "max_delay", "path"};
  EXPECT_EQ(NearestWord("setle", known), "settle");
  EXPECT_EQ(NearestWord("max-delay", known), "max_delay");
  EXPECT_EQ(NearestWord("completely_other", known), "");
  EXPECT_EQ(NearestWord(std::string(1 << 20, 'x'), known), "");
}

TEST(ListenAddressTest, HostsPortsAndSocketsAreRead) {
  struct Case {
    const char* given;
    const char* text;
    bool local;
    bool any_port;
  };
  for (const Case& c :
       {Case{"127.0.0.1:50051", "127.0.0.1:50051", true, false},
        Case{"127.9.9.9:0", "127.9.9.9:0", true, true},
        Case{"localhost:1", "localhost:1", true, false},
        Case{"[::1]:65535", "[::1]:65535", true, false},
        Case{"[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true, false},
        Case{"0.0.0.0:1", "0.0.0.0:1", false, false}, Case{"[::]:1", "[::]:1", false, false},
        Case{"[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1", false, false},
        Case{"node-1.example:80", "node-1.example:80", false, false},
        Case{"unix:run/s", "unix:/dir/run/s", true, false},
        Case{"unix:///run/s", "unix:/run/s", true, false}}) {
    const auto address = ListenAddress::Parse(c.given, "/dir");
    ASSERT_TRUE(address.ok()) << c.given << ": " << address.status();
    EXPECT_EQ(address->text, c.text);
    EXPECT_EQ(address->local, c.local) << c.given;
    EXPECT_EQ(address->any_port, c.any_port) << c.given;
  }
}

TEST(ListenAddressTest, WhatIsNoAddressIsRefusedWithARemedy) {
  for (const char* given :
       {"", "50051", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
        ":50051", "::1:50051", "[::1]", "[::1:1", "[localhost]:1", "[]:1", "http://x:1", "a b:1",
        "unix:", "unix://"}) {
    const auto address = ListenAddress::Parse(given, "/dir");
    EXPECT_THAT(address.status().ToString(), HasSubstr(": ")) << given;
    EXPECT_FALSE(address.ok()) << given;
  }
  EXPECT_FALSE(ListenAddress::Parse("unix:/" + std::string(107, 'x'), "/").ok());
}

TEST(SettingsTest, EveryDefaultIsReadBack) {
  const auto check = [](const auto& settings, auto target) {
    for (const auto& setting : settings) {
      for (const std::string& text : setting.get(target)) {
        const auto status = setting.add({text, "", setting.key, "/"}, &target);
        EXPECT_TRUE(status.ok()) << setting.key << ": " << status;
      }
    }
  };
  check(ServerSettings(), ServerConfig());
  check(SourceSettings(), SourceConfig());
}

TEST(SettingsTest, TheDeepestNestingThatCanBeAllowedIsAllowedInEverySyntax) {
  for (const auto& setting : SourceSettings()) {
    if (setting.key != "limits.max_nesting") continue;
    SourceConfig config;
    int deepest = 1;
    while (setting.add({absl::StrCat(deepest + 1), "", "", ""}, &config).ok()) ++deepest;
    ASSERT_GT(deepest, 200);
    const std::string value = std::string(static_cast<size_t>(deepest), '[') +
                              std::string(static_cast<size_t>(deepest), ']');
    const std::string toml = "a = " + value.substr(1, value.size() - 2);  // the file is a table
    EXPECT_FALSE(CheckJsonSyntax("f", value, config.limits).has_value());
    EXPECT_FALSE(CheckYamlSyntax("f", value, config.limits).has_value());
    EXPECT_FALSE(CheckTomlSyntax("f", toml, config.limits).has_value());
    EXPECT_EQ(CheckJsonSyntax("f", "[" + value + "]", config.limits)->rule, "json.nesting");
    EXPECT_EQ(CheckYamlSyntax("f", "[" + value + "]", config.limits)->rule, "yaml.nesting");
    EXPECT_EQ(CheckTomlSyntax("f", "a = " + value, config.limits)->rule, "toml.nesting");
    return;
  }
  FAIL() << "no such setting";
}

class ConfigurationDocument : public ::testing::Test {
 protected:
  ConfigurationDocument() {
    std::ifstream file(CONFSTREAM_TEST_SOURCE_DIR "/docs/configuration.md");
    std::ostringstream text;
    text << file.rdbuf();
    text_ = text.str();
  }

  template <typename Target>
  static std::string Default(const Setting<Target>& setting) {
    const std::string text = absl::StrJoin(setting.get(Target()), ", ");
    return text.empty() ? "none" : absl::StrCat("`", text, "`");
  }

  std::string text_;
};

TEST_F(ConfigurationDocument, HasARowForEveryServerSettingWithItsDefaultAndBounds) {
  for (const auto& setting : ServerSettings()) {
    EXPECT_THAT(text_, HasSubstr(absl::StrCat("| `", setting.key, "` | `", setting.flag(), "` | `",
                                              setting.variable(), "` | ", Default(setting), " | ",
                                              setting.bounds, " |")));
  }
}

TEST_F(ConfigurationDocument, HasARowForEverySourceSettingWithItsDefaultAndBounds) {
  for (const auto& setting : SourceSettings()) {
    EXPECT_THAT(text_, HasSubstr(absl::StrCat("| `", setting.key, "` | ", Default(setting), " | ",
                                              setting.bounds, " |")));
  }
}

// What the server can say is broken: every string of its code that looks like a rule, and is no
// setting.
std::set<std::string> RulesInTheCode() {
  static const std::regex rule("\"([a-z]+\\.[a-z0-9_]+)\"");
  std::set<std::string> rules = {"schema"};
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(CONFSTREAM_TEST_SOURCE_DIR "/server")) {
    if (!entry.is_regular_file() || entry.path().parent_path().filename() == "config") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      for (std::sregex_iterator it(line.begin(), line.end(), rule), end; it != end; ++it) {
        const std::string found = (*it)[1];
        if (found != "confstream.dev" && found.rfind("limits.max_", 0) != 0) rules.insert(found);
      }
    }
  }
  return rules;
}

TEST_F(ConfigurationDocument, HasARowForEveryRuleWithItsMeaningAndRemedyAndNoOther) {
  const size_t begin = text_.find("| rule | what is refused | remedy |");
  ASSERT_NE(begin, std::string::npos);
  const std::string table = text_.substr(begin, text_.find("\n\n", begin) - begin);
  static const std::regex row("\n\\| (`[^|]*`) \\| [^|]+ \\| [^|]+ \\|");
  static const std::regex name("`([^`]+)`");
  std::set<std::string> documented;
  for (std::sregex_iterator it(table.begin(), table.end(), row), end; it != end; ++it) {
    const std::string cell = (*it)[1];
    for (std::sregex_iterator each(cell.begin(), cell.end(), name); each != end; ++each) {
      documented.insert((*each)[1]);
    }
  }
  EXPECT_EQ(documented, RulesInTheCode());
}

}  // namespace
}  // namespace confstream
