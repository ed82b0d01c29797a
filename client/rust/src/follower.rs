use std::{
    error::Error as _,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use prost::Message as _;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use crate::{
    Client,
    assembler::{Assembler, Taken},
    backoff::Backoff,
    proto::{
        SourceStatus, WatchRequest, WatchResponse, config_service_client::ConfigServiceClient, watch_response::Event,
    },
    shared::{End, Shared, shown, text_of},
};

/// Heartbeats missed until a copy is stale and a stream given up.
const MISSED_HEARTBEATS: u32 = 3;
/// The longest interval that a server takes.
const MOST_HEARTBEAT: Duration = Duration::from_secs(3600);
/// In place of the time until a copy is stale, if no heartbeats are asked for.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// A server may ask for a longer wait than the backoff's, but not for any.
const MOST_RETRY_DELAY: Duration = Duration::from_secs(60);
/// Servers send about 1 MiB. What is larger than this would be answered by `OUT_OF_RANGE`, which ends a watch.
const MOST_MESSAGE_BYTES: usize = 64 << 20;

/// Told `true` when the copy becomes stale, `false` when it no longer is.
pub(crate) type StaleHook = Box<dyn FnMut(bool) + Send>;

/// Follows a source, over as many streams as it takes.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    client: Client,
    request: WatchRequest,
    assembler: Assembler,
    on_stale: Option<StaleHook>,
    backoff: Backoff,
    stale_after: Duration,
    last_heard: Instant,
}

impl Follower {
    pub(crate) fn new(
        shared: Arc<Shared>,
        client: Client,
        request: WatchRequest,
        heartbeat: Duration,
        assembler: Assembler,
        on_stale: Option<StaleHook>,
    ) -> Self {
        let stale_after = if heartbeat.is_zero() {
            NEVER
        } else {
            heartbeat.min(MOST_HEARTBEAT) * MISSED_HEARTBEATS
        };
        Self {
            shared,
            client,
            request,
            assembler,
            on_stale,
            backoff: Backoff::new(),
            stale_after,
            last_heard: Instant::now(),
        }
    }

    /// Follows the source until the server answers what ends the watch. To end it before, drop the future.
    pub(crate) async fn run(mut self) {
        if self.shared.state.borrow().stale {
            tracing::warn!(source = %self.shared.source, "stale: what is held comes from the disk");
            self.tell(true);
        }
        loop {
            let ended = with_cause(self.follow_stream().await);
            let source = self.shared.source.clone();
            let (code, why) = (ended.code(), shown(ended.message()));
            if !is_worth_retrying(code) {
                tracing::error!(%source, ?code, "the watch ended: {why}");
                self.shared.end(End::ByItself(ended));
                return;
            }
            let asked = retry_delay(&ended).unwrap_or_default().min(MOST_RETRY_DELAY);
            let delay = self.backoff.next().max(asked);
            let retry_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(%source, ?code, retry_ms, "disconnected: {why}; the next try is in {retry_ms} ms");
            self.shared.state.send_modify(|state| {
                state.watch_id.clear();
                state.obstacle = format!("{code:?}: {why}");
            });
            self.before(Instant::now() + delay, std::future::pending::<()>()).await;
        }
    }

    /// Reads one stream until it ends, and returns why.
    async fn follow_stream(&mut self) -> Status {
        let request = WatchRequest {
            resume_token: self.assembler.token().to_owned(),
            ..self.request.clone()
        };
        self.assembler.begin_stream();
        let (channel, number) = self.client.channel();
        let mut grpc = ConfigServiceClient::new(channel).max_decoding_message_size(MOST_MESSAGE_BYTES);
        let mut silent_at = Instant::now() + self.stale_after;
        let silence = |follower: &Self| {
            // A peer that hangs would hold the stream open for ever, and every next stream with it.
            follower.client.give_up(number);
            Status::unavailable(format!("the server sent nothing for {:?}", follower.stale_after))
        };
        let mut stream = match self.before(silent_at, grpc.watch(request)).await {
            Some(Ok(answer)) => answer.into_inner(),
            Some(Err(status)) => return status,
            None => return silence(self),
        };
        loop {
            match self.before(silent_at, stream.message()).await {
                Some(Ok(Some(message))) => {
                    let taken = self.take(message);
                    // Not before: what it took to handle the message was no silence.
                    self.last_heard = Instant::now();
                    silent_at = self.last_heard + self.stale_after;
                    if let Err(status) = taken {
                        self.assembler.forget_token();
                        let source = &self.shared.source;
                        tracing::warn!(%source, "started over without a token: {}", shown(status.message()));
                        return status;
                    }
                }
                Some(Ok(None)) => return Status::unavailable("the server ended the stream"),
                Some(Err(status)) => return status_of_stream(status),
                None => return silence(self),
            }
        }
    }

    fn take(&mut self, mut message: WatchResponse) -> Result<(), Status> {
        let source = &self.shared.source;
        let watch_id = std::mem::take(&mut message.watch_id);
        if !watch_id.is_empty() {
            tracing::info!(%source, watch_id, "connected");
            self.shared.state.send_modify(|state| {
                state.watch_id.clone_from(&watch_id);
                state.obstacle = "connected, but no content has come yet".to_owned();
            });
            message.watch_id = watch_id;
        }
        let obstacle = match &message.event {
            Some(Event::SourceStatus(status)) => Some(obstacle_of(status)),
            _ => None,
        };
        let heartbeat = matches!(message.event, Some(Event::Heartbeat(_)));

        let taken = self.assembler.take(message)?;
        if heartbeat || taken == Taken::Version {
            self.backoff.reset();
        }
        let settled = matches!(taken, Taken::Version | Taken::InSync);
        let mut was_stale = false;
        self.shared.state.send_modify(|state| {
            state.held = self.assembler.held().cloned();
            if settled {
                state.settled = true;
                was_stale = std::mem::replace(&mut state.stale, false);
            }
            if let Some(obstacle) = obstacle {
                state.obstacle = obstacle;
            }
        });
        if was_stale {
            tracing::info!(%source, "fresh: the server has settled the copy");
            self.tell(false);
        }
        self.shared.report_soon();
        Ok(())
    }

    /// Waits for `event`, at most until `deadline`, and tells when the copy has become stale meanwhile.
    async fn before<T>(&mut self, deadline: Instant, event: impl Future<Output = T>) -> Option<T> {
        let mut event = pin!(event);
        loop {
            let stale_at = self.last_heard + self.stale_after;
            let may_become_stale = {
                let state = self.shared.state.borrow();
                state.held.is_some() && !state.stale
            };
            let until = if may_become_stale {
                deadline.min(stale_at)
            } else {
                deadline
            };
            if let Ok(happened) = timeout_at(until, event.as_mut()).await {
                return Some(happened);
            }
            let now = Instant::now();
            if may_become_stale && now >= stale_at {
                self.shared.state.send_modify(|state| state.stale = true);
                tracing::warn!(source = %self.shared.source, "stale: nothing was heard for {:?}", now - self.last_heard);
                self.tell(true);
            }
            if now >= deadline {
                return None;
            }
        }
    }

    /// Tells the program whether the copy is stale. A hook that panics takes nothing along.
    fn tell(&mut self, stale: bool) {
        if let Some(on_stale) = &mut self.on_stale
            && let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_stale(stale)))
        {
            let (source, text) = (&self.shared.source, shown(text_of(&*panic)));
            tracing::error!(%source, "the hook for stale copies panicked: {text}");
        }
    }
}

/// Whatever became of the follower, what nobody follows must not pass for current. Whoever ended it has given a reason
/// before, and the first counts.
impl Drop for Follower {
    fn drop(&mut self) {
        let ended = Status::internal("what followed the source panicked, or its runtime has ended");
        self.shared.end(End::ByItself(ended));
    }
}

/// Whether a stream that ended so is worth another try. The others come back until somebody changes the request or the
/// server. OK and CANCELLED are worth it: the client did not ask for them.
fn is_worth_retrying(code: Code) -> bool {
    !matches!(
        code,
        Code::NotFound
            | Code::InvalidArgument
            | Code::OutOfRange
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented
    )
}

/// `status`, which came instead of a message. That a message is too large is for tonic to say, in words alone, and is no
/// OUT_OF_RANGE of the server's.
fn status_of_stream(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange if status.message().starts_with("Error, decoded message length too large") => {
            Status::resource_exhausted(status.message())
        }
        _ => status,
    }
}

/// `status`, with the cause of it if it is the connection, which tonic calls UNKNOWN when it breaks.
fn with_cause(status: Status) -> Status {
    let causes = std::iter::successors(status.source(), |cause| (*cause).source());
    // What a server answered has none.
    let Some(cause) = causes.last() else {
        return status;
    };
    let code = match status.code() {
        Code::Unknown => Code::Unavailable,
        code => code,
    };
    Status::new(code, format!("{}: {cause}", status.message()))
}

/// `google.rpc.Status`, which travels with errors.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// After what time the server asks to try again, if it does.
fn retry_delay(status: &Status) -> Option<Duration> {
    let details = RpcStatus::decode(status.details()).ok()?.details;
    let info = details
        .iter()
        .find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&info.value[..]).ok()?.retry_delay?;
    if delay.seconds < 0 || delay.nanos < 0 {
        return None; // the conversion of the least would overflow
    }
    delay.try_into().ok()
}

/// What a state of the source keeps a client waiting for.
fn obstacle_of(status: &SourceStatus) -> String {
    let state = status.state().as_str_name().trim_start_matches("SOURCE_STATE_");
    match status.violations.first() {
        Some(violation) => format!("the source is {state}: {}: {}", violation.path, violation.message),
        None => format!("the source is {state}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_retry_info(delay: prost_types::Duration) -> Status {
        let info = RetryInfo {
            retry_delay: Some(delay),
        };
        let details = RpcStatus {
            details: vec![
                prost_types::Any {
                    type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
                    value: vec![0xff],
                },
                prost_types::Any {
                    type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
                    value: info.encode_to_vec(),
                },
            ],
        };
        Status::with_details(Code::Unavailable, "", details.encode_to_vec().into())
    }

    #[test]
    fn the_servers_retry_delay_is_found_among_the_details() {
        let asked = with_retry_info(prost_types::Duration {
            seconds: 2,
            nanos: 500_000_000,
        });
        assert_eq!(retry_delay(&asked), Some(Duration::from_millis(2500)));
        assert_eq!(retry_delay(&Status::unavailable("")), None);
        for (seconds, nanos) in [(-2, 0), (i64::MIN, 0), (0, i32::MIN), (1, -1)] {
            let negative = with_retry_info(prost_types::Duration { seconds, nanos });
            assert_eq!(retry_delay(&negative), None, "{seconds}.{nanos}");
        }
        let garbage = Status::with_details(Code::Unavailable, "", vec![0xff].into());
        assert_eq!(retry_delay(&garbage), None);
    }

    #[test]
    fn seven_codes_end_a_watch() {
        let ending = (0..=16).map(Code::from).filter(|code| !is_worth_retrying(*code));
        assert_eq!(ending.map(i32::from).collect::<Vec<_>>(), [3, 5, 7, 9, 11, 12, 16]);
    }
}
