#include "server/publish/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "server/base/error_reason.h"
#include "tests/publisher_fixture.h"

namespace confstream {
namespace {

TEST_F(PublisherTest, NewSourceIsAnnouncedWaitingInItsEpochBeforeItIsRead) {
  ASSERT_EQ(sink_.announced().size(), 1u);
  EXPECT_EQ(sink_.announced()[0]->source, "app");
  EXPECT_EQ(sink_.announced()[0]->status.condition, SourceCondition::kWaiting);
  EXPECT_EQ(sink_.announced()[0]->epoch.size(), 32u);
}

// Settings.

TEST_F(PublisherTest, OtherSettingsKeepVersionsAndEpoch) {
  Write("a", "1");
  Write("b", "1");
  Read();
  const std::string epoch = state().epoch;
  SourceConfig config = Config();
  config.exclude = {*PathGlob::Parse("b")};
  publisher_.AddSource(config, no_schemas_, 2);
  EXPECT_EQ(Read(Request("app", 2)), ReadOutcome::kDone);
  EXPECT_EQ(state().epoch, epoch);
  EXPECT_EQ(state().snapshot->version, 2);
  EXPECT_EQ(state().snapshot->files.size(), 1u);
  // No setting brings content of before back as if it were new.
  publisher_.AddSource(config, no_schemas_, 3);
  Read(Request("app", 3));
  EXPECT_EQ(state().snapshot->version, 2);
}

TEST_F(PublisherTest, WhetherASourceIsRequiredIsToldAndFollowsItsSettings) {
  EXPECT_TRUE(sink_.announced()[0]->required);
  SourceConfig config = Config();
  config.required = false;
  publisher_.AddSource(config, no_schemas_, 2);
  Read(Request("app", 2));
  EXPECT_FALSE(state().required);
}

TEST_F(PublisherTest, OtherSettingsKeepTheTimesOfTheStatus) {
  Write("a", "1");
  Read();
  const absl::Time since = clock_.WallNow();
  clock_.Advance(absl::Seconds(10));
  publisher_.AddSource(Config(), no_schemas_, 2);
  Read(Request("app", 2));
  EXPECT_EQ(state().status.since, since);
}

TEST_F(PublisherTest, RequestMadeUnderOldSettingsIsIgnored) {
  Write("a", "1");
  publisher_.AddSource(Config(), no_schemas_, 2);
  publisher_.Submit(Request("app", 1));
  Read(Request("app", 2));
  EXPECT_EQ(sink_.states().size(), 1u);
  EXPECT_EQ(answers_.count(), 1u);
}

TEST_F(PublisherTest, OtherSettingsDoNotWaitForAReadingUnderWayAndNothingIsHeardOfIt) {
  Write("a", "1");
  answers_.Hold("app");
  publisher_.Submit(Request());
  ASSERT_TRUE(answers_.AwaitAsking());
  SourceConfig config = Config();
  config.exclude = {*PathGlob::Parse("nothing")};
  publisher_.AddSource(config, no_schemas_, 2);
  answers_.Hold("");
  answers_.Await(1);
  EXPECT_TRUE(sink_.states().empty());
  Write("a", "2");
  Read(Request("app", 2));
  EXPECT_EQ(state().snapshot->version, 1);
}

TEST_F(PublisherTest, OperatorsDoNotWaitForAReadingUnderWay) {
  Write("a", "1");
  Read();
  Write("a", "2");
  Read();
  Write("a", "3");
  answers_.Hold("app");
  publisher_.Submit(Request());
  ASSERT_TRUE(answers_.AwaitAsking());
  RollbackOrder order;
  order.source = "app";
  order.version = 1;
  const auto rolled_back = publisher_.Rollback(order);
  ASSERT_TRUE(rolled_back.ok()) << rolled_back.status();
  EXPECT_EQ(rolled_back->state->snapshot->version, 3);
  answers_.Hold("");
  answers_.Await(3);
  EXPECT_EQ(state().snapshot->files[0].content->bytes, "3") << "new content ends the pin";
}

TEST_F(PublisherTest, NeitherUnpinningNorDryRunsNorSchemasWaitForAReadingUnderWay) {
  WriteFile(directory_.Path("schema.json"), "{}");
  SourceConfig config = Config();
  config.rules.schemas = {{*PathGlob::Parse("*.json"), directory_.Path("schema.json")}};
  publisher_.AddSource(config, *SchemaSet::Load(config.rules), 2);
  Write("a.json", "1");
  Read(Request("app", 2));
  RollbackOrder order;
  order.source = "app";
  order.version = 1;
  ASSERT_TRUE(publisher_.Rollback(order).ok());
  answers_.Hold("app");
  publisher_.Submit(Request("app", 2));
  ASSERT_TRUE(answers_.AwaitAsking());
  EXPECT_TRUE(publisher_.Unpin("app").ok());
  EXPECT_TRUE(publisher_.DryRun("app", Generation()).ok());
  const size_t told = sink_.states().size();
  WriteFile(directory_.Path("schema.json"), "{\"type\": \"string\"}");
  ASSERT_TRUE(sink_.Await("app", told + 1)) << "the schema was looked at again";
  EXPECT_EQ(state().status.violations[0].rule, "schema");
  answers_.Hold("");
  answers_.Await(2);
  EXPECT_EQ(state().status.violations[0].rule, "schema") << "the reading is judged by the new one";
}

TEST_F(PublisherTest, WhatCannotBeReadAndWhatIsWrongInTheOthersIsToldTogether) {
  WriteFile(directory_.Path("schema.json"), "{}");
  SourceConfig config = Config();
  config.rules.schemas = {{*PathGlob::Parse("*.json"), directory_.Path("schema.json")}};
  config.limits.max_file_bytes = 4;
  publisher_.AddSource(config, *SchemaSet::Load(config.rules), 2);
  Write("a.json", "1");
  Write("large.json", "[1,2]");
  Write("z.json", "[");
  Read(Request("app", 2));
  const auto rules = [this] {
    std::vector<std::string> broken;
    for (const Violation& violation : state().status.violations) broken.push_back(violation.rule);
    return broken;
  };
  EXPECT_THAT(rules(), testing::ElementsAre("limits.file_size", "json.syntax"));
  EXPECT_EQ(state().status.violations_total, 2);
  EXPECT_EQ(state().snapshot, nullptr);
  const size_t told = sink_.states().size();
  WriteFile(directory_.Path("schema.json"), "{\"type\": \"string\"}");
  ASSERT_TRUE(sink_.Await("app", told + 1)) << "other schemas judge what could be read";
  EXPECT_THAT(rules(), testing::ElementsAre("schema", "limits.file_size", "json.syntax"));
}

TEST_F(PublisherTest, SchemaThatBreaksIsToldAndItsEndToo) {
  const std::string schema = directory_.Path("schema.json");
  WriteFile(schema, "{}");
  SourceConfig config = Config();
  config.rules.schemas = {{*PathGlob::Parse("*.json"), schema}};
  publisher_.AddSource(config, *SchemaSet::Load(config.rules), 2);
  Write("a.json", "1");
  Read(Request("app", 2));
  EXPECT_EQ(state().status.schema_problem, "");
  size_t told = sink_.states().size();
  WriteFile(schema, "{\"type\": ");
  ASSERT_TRUE(sink_.Await("app", told + 1));
  EXPECT_THAT(state().status.schema_problem, testing::HasSubstr("schema.json:1"));
  EXPECT_EQ(state().status.condition, SourceCondition::kServing) << "the old schema stays";
  EXPECT_THAT(publisher_.Events("app")->back().detail,
              testing::StartsWith("the schema files have changed, the old schemas stay: "));
  told = sink_.states().size();
  WriteFile(schema, "{\"type\": \"integer\"}");
  ASSERT_TRUE(sink_.Await("app", told + 1));
  EXPECT_EQ(state().status.schema_problem, "");
}

TEST_F(PublisherTest, SourcesThatMayHangAreReadApartAndHoldUpNobody) {
  const SystemClock clock;
  const std::unique_ptr<History> history = *History::Open("", &clock, &log_);
  Publisher publisher({&clock, &file_system_, {&sink_}, &journals_, &log_}, history.get(), 1);
  publisher.SetAnswerSink(&answers_);
  publisher.AddSource(Config(), no_schemas_, 1);
  SourceConfig slow = Config("slow");
  slow.read_timeout = absl::Milliseconds(1);
  publisher.AddSource(slow, no_schemas_, 1);
  Write("a", "1");
  WriteFile(directory_.Path("slow/a"), "1");
  answers_.Hold("slow");
  const absl::Cleanup let_go = [&] { answers_.Hold(""); };
  ReadRequest request = Request("slow");
  request.may_hang = true;
  request.number = 7;
  publisher.Submit(request);
  ASSERT_TRUE(answers_.AwaitAsking());
  publisher.Submit(Request());
  EXPECT_EQ(answers_.Await(1).source, "app");
  ASSERT_TRUE(sink_.Await("slow", 1));
  EXPECT_EQ(sink_.states("slow").back()->status.condition, SourceCondition::kStalled);
  EXPECT_EQ(sink_.states("slow").back()->status.violations[0].rule, "source.stalled");
  EXPECT_FALSE(publisher.Stop(absl::Milliseconds(1))) << "its thread is still there";
  answers_.Hold("");
  EXPECT_TRUE(publisher.Stop());
  EXPECT_EQ(sink_.states("slow").back()->status.condition, SourceCondition::kServing);
}

TEST_F(PublisherTest, RemovedSourceIgnoresRequestsThatWaitForAWorker) {
  const std::unique_ptr<History> history = *History::Open("", &clock_, &log_);
  Publisher publisher({&clock_, &file_system_, {&sink_}, &journals_, &log_}, history.get(), 1);
  publisher.SetAnswerSink(&answers_);
  publisher.AddSource(Config(), no_schemas_, 1);
  publisher.AddSource(Config("slow"), no_schemas_, 1);
  Write("a", "1");
  WriteFile(directory_.Path("slow/a"), "1");
  answers_.Hold("slow");
  publisher.Submit(Request("slow"));
  ASSERT_TRUE(answers_.AwaitAsking());
  publisher.Submit(Request());
  publisher.RemoveSource("app");
  answers_.Hold("");
  EXPECT_EQ(answers_.Await(2).source, "app") << "who asked is answered all the same";
  EXPECT_TRUE(sink_.states("app").empty());
  EXPECT_EQ(sink_.states("slow").size(), 1u);
  publisher.Submit(Request());
  publisher.Stop();
  EXPECT_EQ(answers_.count(), 2u);
}

TEST_F(PublisherTest, NothingIsHeardOfASourceOnceItIsRemoved) {
  Write("a", "1");
  answers_.Hold("app");
  publisher_.Submit(Request());
  answers_.AwaitAsking();
  std::promise<size_t> removed;
  std::future<size_t> heard = removed.get_future();
  std::thread removing([&] {
    publisher_.RemoveSource("app");
    removed.set_value(sink_.states().size());
  });
  heard.wait_for(std::chrono::milliseconds(50));
  answers_.Hold("");
  answers_.Await(1);
  EXPECT_EQ(heard.get(), sink_.states().size());
  removing.join();
}

TEST_F(PublisherTest, SourceThatWasRemovedAndAddedAgainGoesOnInItsEpoch) {
  Write("a", "1");
  Read();
  const std::string epoch = state().epoch;
  publisher_.RemoveSource("app");
  Write("a", "2");
  publisher_.AddSource(Config(), no_schemas_, 2);
  EXPECT_EQ(state().status.violations[0].rule, "source.not_read");
  Read(Request("app", 2));
  EXPECT_EQ(state().epoch, epoch);
  EXPECT_EQ(state().snapshot->version, 2);
}

// Operators' other calls.

TEST_F(PublisherTest, ReloadAnswersAfterAReadingThatBeganAfterIt) {
  Write("a", "1");
  Read();
  Write("a", "2");
  std::promise<absl::StatusOr<std::shared_ptr<const SourceState>>> answered;
  auto answer = answered.get_future();
  std::thread asking(
      [&] { answered.set_value(publisher_.Reload("app", absl::InfiniteDuration())); });
  ASSERT_TRUE(answers_.AwaitAskedFor("app"));
  EXPECT_EQ(answer.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  Read();
  const auto state = answer.get();
  asking.join();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ((*state)->snapshot->version, 2);
}

TEST_F(PublisherTest, ReloadEndsWithItsPatienceOrTheServer) {
  EXPECT_EQ(publisher_.Reload("app", absl::ZeroDuration()).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  publisher_.EndWaits();
  EXPECT_EQ(publisher_.Reload("app", absl::InfiniteDuration()).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(PublisherTest, DryRunTellsWhatTheRulesSayAndPublishesNothing) {
  Generation files;
  const std::string bytes = "{";
  files.files.push_back(
      {"a.json", std::make_shared<const FileContent>(FileContent{bytes, Sha256::Of(bytes)})});
  const auto result = publisher_.DryRun("app", files);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->total, 1);
  ASSERT_EQ(result->violations.size(), 1u);
  EXPECT_EQ(result->violations[0].rule, "json.syntax");
  EXPECT_TRUE(sink_.states().empty());
}

// Workers.

TEST_F(PublisherTest, SlowSourceDelaysNoOther) {
  publisher_.AddSource(Config("slow"), no_schemas_, 1);
  WriteFile(directory_.Path("slow/a"), "1");
  Write("a", "1");
  answers_.Hold("slow");
  publisher_.Submit(Request("slow"));
  ASSERT_TRUE(answers_.AwaitAsking());
  EXPECT_EQ(Read(), ReadOutcome::kDone);
  EXPECT_EQ(state().snapshot->version, 1);
  EXPECT_TRUE(sink_.states("slow").empty());
  answers_.Hold("");
}

TEST_F(PublisherTest, StopWaitsForAReadingThatAsksTheWatchThreadAndNothingIsReadAfterIt) {
  Write("a", "1");
  answers_.Hold("app");
  publisher_.Submit(Request());
  ASSERT_TRUE(answers_.AwaitAsking());
  // The watch thread has stopped: it answers no, and lets go.
  answers_.SetQuiet(false);
  std::thread stopping([this] { answers_.Hold(""); });
  publisher_.Stop();
  stopping.join();
  EXPECT_EQ(answers_.Await(1).outcome, ReadOutcome::kUnsettled);
  EXPECT_TRUE(sink_.states().empty());
  answers_.SetQuiet(true);
  publisher_.Submit(Request());
  publisher_.Stop();
  EXPECT_EQ(answers_.count(), 1u);
}

class FirstReadingsTest : public PublisherTest {
 protected:
  FirstReadingsTest() {
    on_real_clock_.SetAnswerSink(&answers_);
    on_real_clock_.AddSource(Config(), no_schemas_, 1);
    Write("a", "1");
  }
  ~FirstReadingsTest() override { on_real_clock_.Stop(); }

  SystemClock system_clock_;
  const std::unique_ptr<History> other_history_ = *History::Open("", &system_clock_, &log_);
  Publisher on_real_clock_{
      {&system_clock_, &file_system_, {&sink_}, &journals_, &log_}, other_history_.get(), 1};
};

TEST_F(FirstReadingsTest, AreAwaitedNoLongerThanAsked) {
  EXPECT_FALSE(on_real_clock_.AwaitFirstReadings(absl::Milliseconds(10)));
}

TEST_F(FirstReadingsTest, AreThereOnceEverySourceWasReadWhateverCameOfIt) {
  on_real_clock_.AddSource(Config("missing"), no_schemas_, 1);
  on_real_clock_.Submit(Request());
  EXPECT_FALSE(on_real_clock_.AwaitFirstReadings(absl::Milliseconds(10)));
  on_real_clock_.Submit(Request("missing"));
  EXPECT_TRUE(on_real_clock_.AwaitFirstReadings(absl::Seconds(30)));
}

TEST_F(FirstReadingsTest, AreThereOnceTheOnlySourceNotReadIsRemoved) {
  on_real_clock_.AddSource(Config("missing"), no_schemas_, 1);
  on_real_clock_.Submit(Request());
  answers_.Await(1);
  std::promise<bool> outcome;
  std::future<bool> all = outcome.get_future();
  std::thread waiting(
      [&] { outcome.set_value(on_real_clock_.AwaitFirstReadings(absl::Minutes(4))); });
  EXPECT_EQ(all.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  on_real_clock_.RemoveSource("missing");
  EXPECT_EQ(all.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  EXPECT_TRUE(all.get());
  waiting.join();
}

TEST_F(FirstReadingsTest, ContentThatHasToSettleFirstIsNone) {
  answers_.SetQuiet(false);
  on_real_clock_.Submit(Request());
  EXPECT_EQ(answers_.Await(1).outcome, ReadOutcome::kUnsettled);
  EXPECT_FALSE(on_real_clock_.AwaitFirstReadings(absl::Milliseconds(10)));
  answers_.SetQuiet(true);
  on_real_clock_.Submit(Request());
  EXPECT_TRUE(on_real_clock_.AwaitFirstReadings(absl::Seconds(30)));
}

TEST_F(FirstReadingsTest, ReadingThatFoundTheSourceElsewhereIsNone) {
  WriteFile(directory_.Path("one/a"), "1");
  std::filesystem::remove_all(directory_.Path("app"));
  MakeLink("one", directory_.Path("app"));
  const ReadRequest request = Request();
  SwapLink("app2", directory_.Path("app"));
  on_real_clock_.Submit(request);
  EXPECT_EQ(answers_.Await(1).outcome, ReadOutcome::kMoved);
  EXPECT_FALSE(on_real_clock_.AwaitFirstReadings(absl::Milliseconds(10)));
}

}  // namespace
}  // namespace confstream
