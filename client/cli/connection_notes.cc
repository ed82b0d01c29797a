#include "client/cli/connection_notes.h"

#include "absl/strings/str_cat.h"
#include "client/cli/display.h"
#include "client/cli/exit_code.h"

namespace confstream {

void ConnectionNotes::OnConnected() {
  if (disconnected_) console_.Say(absl::StrCat("connected to ", server_, " again"));
  connected_ever_ = true;
  disconnected_ = false;
}

void ConnectionNotes::OnStale(absl::Duration silence, absl::string_view what) {
  console_.Say(absl::StrCat("nothing heard for ",
                            absl::FormatDuration(absl::Trunc(silence, absl::Milliseconds(1))), ": ",
                            what, " may be out of date"));
}

void ConnectionNotes::OnDisconnected(const absl::Status& why) {
  const std::string error = ErrorText(why);
  if (!disconnected_ || error != last_error_) {
    console_.Say(connected_ever_
                     ? absl::StrCat("lost the server at ", server_, " (", error,
                                    "); trying to connect again")
                     : absl::StrCat("cannot reach a server at ", server_, " (", error,
                                    "); trying until it answers. ", UnreachableRemedy()));
  }
  last_error_ = error;
  disconnected_ = true;
}

void ConnectionNotes::OnStatus(const v1::ResponseHeader& header, const v1::SourceStatus& status) {
  nothing_yet_ = status.served_version() > 0 ? "" : NothingYetText(header.source(), status);
}

void ConnectionNotes::SayNothingYet() {
  if (nothing_yet_.empty() || nothing_yet_ == said_) return;
  said_ = nothing_yet_;
  console_.Say(absl::StrCat("waiting: ", nothing_yet_));
}

void ConnectionNotes::SayTimeOver(const absl::Status& status) const {
  console_.Say(nothing_yet_.empty() ? ErrorMessage(status)
                                    : absl::StrCat(ErrorMessage(status), ": ", nothing_yet_));
}

}  // namespace confstream
