#include "server/serve/admin_service.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/serve/unary_call.h"
#include "server/serve/validate_call.h"

namespace confstream {
namespace {

constexpr int kControlThreads = 2;
constexpr int kReloadThreads = 2;
constexpr absl::Duration kReloadPatience = absl::Seconds(30);

// A method that answers from the request alone.
template <typename Plane, typename Request, typename Response>
auto AnsweredBy(Plane* plane, absl::Status (ControlPlane::*method)(const Request&, Response*)) {
  return [plane, method](const grpc::ServerContext& /*context*/, const Request& request,
                         Response* response) { return (plane->*method)(request, response); };
}
template <typename Plane, typename Request, typename Response>
auto AnsweredBy(Plane* plane,
                absl::Status (ControlPlane::*method)(const Request&, Response*) const) {
  return [plane, method](const grpc::ServerContext& /*context*/, const Request& request,
                         Response* response) { return (plane->*method)(request, response); };
}

}  // namespace

AdminService::AdminService(ControlPlane* plane)
    : plane_(plane), control_threads_(kControlThreads), reload_threads_(kReloadThreads) {}

void AdminService::Serve(const std::shared_ptr<CallQueue>& queue) {
  ServeUnary(queue, this, &AdminService::RequestListSnapshots,
             AnsweredBy(plane_, &ControlPlane::ListSnapshots));
  ServeUnary(queue, this, &AdminService::RequestDiffSnapshots,
             AnsweredBy(plane_, &ControlPlane::DiffSnapshots), &control_threads_);
  ServeUnary(queue, this, &AdminService::RequestRollbackSnapshot,
             AnsweredBy(plane_, &ControlPlane::RollbackSnapshot), &control_threads_);
  ServeUnary(queue, this, &AdminService::RequestUnpinSource,
             AnsweredBy(plane_, &ControlPlane::UnpinSource), &control_threads_);
  ServeUnary(queue, this, &AdminService::RequestListWatchers,
             AnsweredBy(plane_, &ControlPlane::ListWatchers), &control_threads_);
  ServeUnary(queue, this, &AdminService::RequestListEvents,
             AnsweredBy(plane_, &ControlPlane::ListEvents), &control_threads_);
  ServeUnary(
      queue, this, &AdminService::RequestReloadSource,
      [this](const grpc::ServerContext& context, const v1::ReloadSourceRequest& request,
             v1::ReloadSourceResponse* response) {
        const absl::Duration left = absl::FromChrono(context.deadline()) - absl::Now();
        return plane_->ReloadSource(request, std::min(left, kReloadPatience), response);
      },
      &reload_threads_);
  ValidateCall::Accept({this, plane_->control(), &control_threads_}, queue);
}

void AdminService::Stop() {
  control_threads_.Stop();
  reload_threads_.Stop();
}

}  // namespace confstream
