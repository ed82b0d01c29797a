// What the command shows of values: JSON, YAML and text for terminals.

#include "client/cli/structured_output.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "client/cli/display.h"
#include "client/cli/table.h"

namespace confstream {
namespace {

TEST(StructuredOutputTest, YamlGivesEveryStringBack) {
  const char* const texts[] = {"",
                               "a: 1\nb: 2\n",
                               "true",
                               "~",
                               "12",
                               "a\n\n",
                               "\nlead\n",
                               " lead\n",
                               "trail  \n x\n",
                               "tab\tin\n",
                               "no newline",
                               "\"quoted\" 'too'",
                               "a\r\nb\r\n",
                               "# comment\n",
                               "- x\n",
                               "ctrl \x01 \x7f\n",
                               "%YAML\n",
                               "a: |\n  b\n\n  c\n",
                               "\xc3\xa9\n",
                               "--- \n",
                               "x\n...\ny\n",
                               "\xe2\x80\xa8\n",
                               "\xc2\x85\n",
                               "\tx\n"};
  for (const char* const text : texts) {
    const Json json = {{"list", {{{"content", text}}, text}}, {"after", text}};
    const std::string yaml = YamlText(json);
    const YAML::Node node = YAML::Load(yaml);
    EXPECT_EQ(node["list"][0]["content"].as<std::string>(), text) << yaml;
    EXPECT_EQ(node["list"][1].as<std::string>(), text) << yaml;
    EXPECT_EQ(node["after"].as<std::string>(), text) << yaml;
    EXPECT_TRUE(node["after"].Tag() == "!") << "a string that a reader may take for another type";
  }
}

TEST(StructuredOutputTest, VersionsAreNumbersAndUnsetFieldsAreLeftOut) {
  v1::ResponseHeader header;
  header.set_source("app");
  header.set_epoch("e1");
  Json json = Json::object();
  AddHeader(&json, header);
  EXPECT_EQ(JsonLine(json), R"({"source":"app","epoch":"e1"})");

  header.set_version((int64_t{1} << 53) - 1);
  header.set_digest("sha256:00");
  header.mutable_publish_time()->set_seconds(1769853600);
  header.set_origin(v1::SNAPSHOT_ORIGIN_ROLLBACK);
  header.set_rolled_back_to(7);
  json = Json::object();
  AddHeader(&json, header);
  EXPECT_EQ(JsonLine(json),
            R"({"source":"app","epoch":"e1","version":9007199254740991,"digest":"sha256:00",)"
            R"("publish_time":"2026-01-31T10:00:00Z","origin":"ROLLBACK","rolled_back_to":7})");
}

TEST(StructuredOutputTest, BytesThatAreNoTextAreBase64) {
  ReceivedSnapshot snapshot;
  snapshot.files.push_back(
      {"bin", std::make_shared<const std::string>("\xff\x00\x01", 3), {}, "", 1});
  Json json = Json::object();
  AddSnapshot(&json, snapshot);
  EXPECT_EQ(json["files"][0]["content_base64"], "/wAB");
  EXPECT_FALSE(json["files"][0].contains("content"));
}

TEST(StructuredOutputTest, JsonHasNoCharacterThatATerminalObeys) {
  const Json json = {{"text",
                      "a\x1b[2J\x7f\xc2\x9b"
                      "31m\xc3\xa9\xc2\xa0"}};
  const std::string line = JsonLine(json);
  EXPECT_EQ(line, "{\"text\":\"a\\u001b[2J\\u007f\\u009b31m\xc3\xa9\xc2\xa0\"}");
  EXPECT_EQ(Json::parse(line), json);
}

TEST(DisplayTest, TerminalsObeyNothingThatTextHolds) {
  EXPECT_EQ(SafeForTerminal("plain \\n \xc3\xa9\ttab"), "plain \\n \xc3\xa9\ttab");
  EXPECT_EQ(SafeForTerminal("\x1b]0;x\x07\r\n"), "\\x1b]0;x\\x07\\x0d\\x0a");
  EXPECT_EQ(SafeForTerminal("\xc2\x9b"
                            "2J"),
            "\\x9b2J");
  EXPECT_EQ(SafeForTerminal("a\xff\xfe"
                            "b\xc2"),
            "a\\xff\\xfe"
            "b\\xc2");
}

TEST(DisplayTest, EnumValuesAreShortAndUnknownOnesAreNumbers) {
  EXPECT_EQ(ShortName(v1::SOURCE_STATE_SERVING), "SERVING");
  EXPECT_EQ(ShortName(v1::WATCH_REASON_RESYNC), "RESYNC");
  EXPECT_EQ(ShortName(v1::SOURCE_STATE_UNSPECIFIED), "UNSPECIFIED");
  EXPECT_EQ(ShortName(static_cast<v1::SourceState>(77)), "UNKNOWN_77");
}

TEST(DisplayTest, SizesAreRounded) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(int64_t{20} << 20), "20 MiB");
}

TEST(DisplayTest, ViolationsReadLikeACompilersErrors) {
  v1::Violation violation;
  violation.set_rule("source.empty");
  violation.set_message("nothing \x1b here");
  EXPECT_EQ(ViolationText(violation), ".: source.empty: nothing \\x1b here");
  violation.set_path("a/b.yaml");
  violation.set_line(3);
  violation.set_column(5);
  EXPECT_EQ(ViolationText(violation), "a/b.yaml:3:5: source.empty: nothing \\x1b here");
}

TEST(TableTest, ColumnsAreAlignedWhateverTheColours) {
  std::ostringstream out;
  Console console{&out, &out};
  console.color = true;
  Table table({"NAME", "N", "END"}, {1});
  table.Add({{"\xc3\xa9", Color::kRed}, "1", "x"});
  table.Add({"longer", "100", "y"});
  table.Print(console);
  EXPECT_EQ(out.str(),
            "\x1b[1mNAME\x1b[0m      \x1b[1mN\x1b[0m  \x1b[1mEND\x1b[0m\n"
            "\x1b[31m\xc3\xa9\x1b[0m         1  x\n"
            "longer  100  y\n");
}

}  // namespace
}  // namespace confstream
