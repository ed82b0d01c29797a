#include "client/cli/file_diff.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/cli/display.h"
#include "client/cli/unified_diff.h"
#include "server/base/text.h"

namespace confstream {
namespace {

bool IsText(absl::string_view content) {
  return IsValidUtf8(content) && !absl::StrContains(content, '\0');
}

std::string SideName(absl::string_view side, bool present, const std::string& path) {
  return present ? absl::StrCat(side, "/", SafeForTerminal(path)) : "/dev/null";
}

std::string HunkHeader(const DiffHunk& hunk) {
  // As diff(1) counts: lines from 1, an empty range by the line before it.
  const auto range = [](size_t begin, size_t count) {
    const size_t first = count == 0 ? begin : begin + 1;
    return count == 1 ? absl::StrCat(first) : absl::StrCat(first, ",", count);
  };
  return absl::StrCat("@@ -", range(hunk.before_begin, hunk.before_count), " +",
                      range(hunk.after_begin, hunk.after_count), " @@");
}

void PrintLine(const DiffLine& line, const Console& console) {
  const bool added = line.kind == DiffLine::Kind::kAdded;
  const bool common = line.kind == DiffLine::Kind::kCommon;
  absl::string_view text = line.text;
  const bool ended = absl::ConsumeSuffix(&text, "\n");
  const Color color = common ? Color::kNone : added ? Color::kGreen : Color::kRed;
  *console.out << console.Paint(color, absl::StrCat(common  ? " "
                                                    : added ? "+"
                                                            : "-",
                                                    SafeForTerminal(text)))
               << "\n";
  if (!ended) *console.out << "\\ No newline at end of file\n";
}

}  // namespace

void PrintFileDiff(const std::string& path, std::optional<absl::string_view> before,
                   std::optional<absl::string_view> after, const Console& console) {
  const absl::string_view old_text = before.value_or(absl::string_view());
  const absl::string_view new_text = after.value_or(absl::string_view());
  if (!IsText(old_text) || !IsText(new_text)) {
    const auto size = [](const std::optional<absl::string_view>& text) {
      return text.has_value() ? std::optional<int64_t>(static_cast<int64_t>(text->size()))
                              : std::nullopt;
    };
    PrintUnshownDiff("Binary files", path, size(before), size(after), console);
    return;
  }
  *console.out << console.Paint(Color::kBold,
                                absl::StrCat("--- ", SideName("a", before.has_value(), path)))
               << "\n"
               << console.Paint(Color::kBold,
                                absl::StrCat("+++ ", SideName("b", after.has_value(), path)))
               << "\n";
  for (const DiffHunk& hunk : Diff(old_text, new_text)) {
    *console.out << console.Paint(Color::kCyan, HunkHeader(hunk)) << "\n";
    for (const DiffLine& line : hunk.lines) PrintLine(line, console);
  }
}

void PrintUnshownDiff(absl::string_view kind, const std::string& path,
                      std::optional<int64_t> before, std::optional<int64_t> after,
                      const Console& console) {
  *console.out << kind << " " << SideName("a", before.has_value(), path) << " and "
               << SideName("b", after.has_value(), path) << " differ ("
               << HumanBytes(before.value_or(0)) << " -> " << HumanBytes(after.value_or(0))
               << ")\n";
}

}  // namespace confstream
