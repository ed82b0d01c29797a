#include "client/cli/exit_code.h"

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/cli/display.h"
#include "client/cpp/rpc_status.h"

namespace confstream {

std::string UnreachableRemedy() {
  return "Is confstreamd running? Start one with `confstreamd --source NAME=PATH`, or name another "
         "address with --server or in CONFSTREAM_SERVER";
}

int Fail(const Console& console, const absl::Status& error, const std::string& address) {
  const std::string said = ErrorMessage(error);
  const std::string reason = ErrorReason(error);
  switch (error.code()) {
    case absl::StatusCode::kUnavailable:
      if (reason == "NO_SNAPSHOT_YET") {
        console.Say(said);
        return kExitNotServing;
      }
      if (!reason.empty()) {
        console.Say(absl::StrCat("the server at ", address, " does not serve now: ", said));
        return kExitUnreachable;
      }
      console.Say(absl::StrCat("cannot reach a server at ", address, ": ", said, ". ",
                               UnreachableRemedy()));
      return kExitUnreachable;
    case absl::StatusCode::kDeadlineExceeded:
      console.Say(absl::StrCat("the server at ", address, " did not answer in time: ", said,
                               ". Give it longer with --timeout"));
      return kExitUnreachable;
    case absl::StatusCode::kNotFound:
      console.Say(said);
      return kExitNotFound;
    case absl::StatusCode::kUnimplemented:
      console.Say(absl::StrCat(ErrorText(error), " (is it a confstreamd that listens on ", address,
                               ", and not older than this program?)"));
      return kExitError;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      console.Say(said);
      return kExitError;
    default:
      console.Say(ErrorText(error));
      return kExitError;
  }
}

int FailAdmin(const Console& console, const absl::Status& error, const std::string& address) {
  if (error.code() != absl::StatusCode::kUnimplemented) return Fail(console, error, address);
  console.Say(absl::StrCat(
      "the server at ", address,
      " does not offer the admin service there: name one of its `admin_listen` addresses with "
      "--server, or start it with one"));
  return kExitError;
}

int FinishOutput(const Console& console, int code) {
  console.out->flush();
  if (console.out->good()) return code;
  const int error = console.out_file == nullptr ? EIO : console.out_file->error();
  if (error == EPIPE) return kExitOk;
  console.Say(absl::StrCat("cannot write the output: ", std::strerror(error)));
  return kExitError;
}

}  // namespace confstream
