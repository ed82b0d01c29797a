#include "tests/bench/process_usage.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace confstream {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

int64_t TicksToMicroseconds(absl::string_view ticks) {
  int64_t number = 0;
  return absl::SimpleAtoi(ticks, &number) ? number * 1000000 / sysconf(_SC_CLK_TCK) : 0;
}

// The number in the line of /proc/PID/status that begins with `name`.
int64_t StatusNumber(const std::string& status, absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::StartsWith(line, name)) continue;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    int64_t number = 0;
    if (words.size() > 1 && absl::SimpleAtoi(words[1], &number)) return number;
  }
  return 0;
}

}  // namespace

ProcessUsage ProcessUsage::Of(pid_t pid) {
  ProcessUsage usage;
  const std::string directory = absl::StrCat("/proc/", pid);
  const std::string stat = ReadAll(directory + "/stat");
  const size_t name_end = stat.rfind(')');  // the name may hold spaces
  if (name_end == std::string::npos) return usage;
  // From the third field on, so utime, the 14th, is at 11.
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(name_end + 2), ' ');
  usage.user_us = TicksToMicroseconds(fields[11]);
  usage.cpu_us = usage.user_us + TicksToMicroseconds(fields[12]);
  const std::string status = ReadAll(directory + "/status");
  usage.rss_bytes = StatusNumber(status, "VmRSS:") * 1024;
  usage.peak_bytes = StatusNumber(status, "VmHWM:") * 1024;
  usage.threads = StatusNumber(status, "Threads:");
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(directory + "/task", error)) {
    const std::string of_task = ReadAll(task.path() / "status");
    usage.context_switches += StatusNumber(of_task, "voluntary_ctxt_switches:") +
                              StatusNumber(of_task, "nonvoluntary_ctxt_switches:");
  }
  return usage;
}

int64_t ResidentBytes(pid_t pid) {
  // Pages in all, then those that are resident.
  const std::vector<std::string> pages =
      absl::StrSplit(ReadAll(absl::StrCat("/proc/", pid, "/statm")), ' ');
  int64_t number = 0;
  return pages.size() > 1 && absl::SimpleAtoi(pages[1], &number) ? number * sysconf(_SC_PAGESIZE)
                                                                 : 0;
}

int64_t MachineBusyMicroseconds() {
  std::ifstream file("/proc/stat");
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
  int64_t busy = 0;
  // cpu user nice system idle iowait irq softirq
  for (const size_t field : {1u, 2u, 3u, 6u, 7u}) {
    if (field < fields.size()) busy += TicksToMicroseconds(fields[field]);
  }
  return busy;
}

}  // namespace confstream
