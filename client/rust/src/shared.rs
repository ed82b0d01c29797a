use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    time::timeout,
};
use tonic::Status;

use crate::{
    Client,
    proto::{self, ReportOutcomeRequest},
    snapshot::Snapshot,
};

/// How long one report may take.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// The server's bound on a reason.
const MOST_REASON_BYTES: usize = 1024;

/// Where a watch stands. Whoever waits for something of it subscribes to changes of the whole.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) held: Option<Arc<Snapshot>>,
    /// The server has sent what is held, or called it current.
    pub(crate) settled: bool,
    pub(crate) stale: bool,
    /// Identity of the open stream; empty: there is none.
    pub(crate) watch_id: String,
    /// What keeps the client waiting while nothing is settled.
    pub(crate) obstacle: String,
    pub(crate) end: Option<End>,
}

#[derive(Clone, Debug)]
pub(crate) enum End {
    Closed,
    ByItself(Status),
}

/// What became of a version at this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program runs with it.
    Applied,
    /// The program could not use it, for this reason; of a longer one, the first 1024 bytes are told.
    Rejected(String),
}

/// What all parts of one watch share.
pub(crate) struct Shared {
    pub(crate) source: String,
    pub(crate) state: watch::Sender<State>,
    /// `None` after the end, so that a watch that is closed holds no connection.
    client: Mutex<Option<Client>>,
    decision: Mutex<Option<Decision>>,
    /// View digest of the content that the callback was given last; `None`: there is no callback, or it had none yet.
    given: Mutex<Option<String>>,
    /// One report at a time, so that the newest is the last.
    sending: AsyncMutex<()>,
    report_again: Notify,
}

/// The outcome that was decided last.
#[derive(Clone)]
struct Decision {
    number: u64,
    view_digest: String,
    place: Place,
    outcome: Outcome,
    told: Option<Place>,
}

/// A version on a stream.
#[derive(Clone, PartialEq)]
struct Place {
    watch_id: String,
    epoch: String,
    version: i64,
}

impl Place {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            watch_id: snapshot.watch_id.clone(),
            epoch: snapshot.header.epoch.clone(),
            version: snapshot.header.version,
        }
    }
}

impl Shared {
    pub(crate) fn new(client: Client, source: String, state: State) -> Self {
        Self {
            source,
            state: watch::Sender::new(state),
            client: Mutex::new(Some(client)),
            decision: Mutex::new(None),
            given: Mutex::new(None),
            sending: AsyncMutex::new(()),
            report_again: Notify::new(),
        }
    }

    /// The watch is over. The first reason is the one that counts.
    pub(crate) fn end(&self, end: End) {
        lock(&self.client).take();
        self.state.send_modify(|state| {
            state.watch_id.clear();
            state.end.get_or_insert(end);
        });
    }

    /// Remembers what became of `snapshot`, to be told to the server by [`report`](Self::report), and again by
    /// [`keep_reporting`](Self::keep_reporting) where and when the server forgot it or did not get it.
    pub(crate) fn decide(&self, snapshot: &Snapshot, outcome: Outcome) {
        let mut decision = lock(&self.decision);
        *decision = Some(Decision {
            number: decision.as_ref().map_or(0, |before| before.number + 1),
            view_digest: snapshot.view_digest.clone(),
            place: Place::of(snapshot),
            outcome,
            told: None,
        });
    }

    /// The callback is given `snapshot`: what was decided on the same content before counts no more.
    pub(crate) fn give(&self, snapshot: &Snapshot) {
        *lock(&self.given) = Some(snapshot.view_digest.clone());
    }

    /// A message came, or something was decided: it is time to report what has not been.
    pub(crate) fn report_soon(&self) {
        self.report_again.notify_one();
    }

    pub(crate) async fn keep_reporting(&self) {
        loop {
            self.report_again.notified().await;
            if let Err(status) = self.report().await {
                let (code, source) = (status.code(), &self.source);
                tracing::warn!(%source, ?code, "an outcome could not be reported: {}", shown(status.message()));
            }
        }
    }

    /// Tells the server the outcome decided last, unless it knows.
    pub(crate) async fn report(&self) -> Result<(), Status> {
        let _one_at_a_time = self.sending.lock().await;
        let Some((decision, place)) = self.not_told() else {
            return Ok(());
        };
        let Some(client) = lock(&self.client).clone() else {
            return Ok(());
        };
        let (outcome, reason) = match decision.outcome.clone() {
            Outcome::Applied => (proto::Outcome::Applied, String::new()),
            Outcome::Rejected(reason) => (proto::Outcome::Rejected, reason_of(reason)),
        };
        let request = ReportOutcomeRequest {
            watch_id: place.watch_id.clone(),
            version: place.version,
            outcome: outcome.into(),
            reason,
        };
        timeout(REPORT_TIMEOUT, client.grpc().report_outcome(request))
            .await
            .map_err(|_| Status::deadline_exceeded(format!("no answer within {REPORT_TIMEOUT:?}")))??;
        if let Some(now) = lock(&self.decision).as_mut()
            && now.number == decision.number
        {
            now.told = Some(place);
        }
        Ok(())
    }

    /// The outcome that the open stream has not been told, and of what version of it that is.
    fn not_told(&self) -> Option<(Decision, Place)> {
        let decision = lock(&self.decision).clone()?;
        let state = self.state.borrow();
        // The same content may have moved on to another version, or another stream, unless other content came between.
        let given = lock(&self.given).clone();
        let still_given = given.is_none_or(|digest| digest == decision.view_digest);
        let place = match &state.held {
            Some(held) if still_given && held.view_digest == decision.view_digest => Place::of(held),
            _ => decision.place.clone(),
        };
        // What another stream delivered is nothing that this one knows.
        let here = !state.watch_id.is_empty() && place.watch_id == state.watch_id;
        (here && decision.told.as_ref() != Some(&place)).then_some((decision, place))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &*self.state.borrow();
        f.debug_struct("Watch")
            .field("source", &self.source)
            .field("state", state)
            .finish_non_exhaustive()
    }
}

/// Locks what is changed by single assignments only, so that a panic leaves nothing half made.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `text` as a log may have it: a control character would be another line, or a command to the terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// What a panic said.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

/// `text` as a reason can be, without the end that is too much.
fn reason_of(mut text: String) -> String {
    let fits = |end: &usize| text.is_char_boundary(*end);
    if let Some(end) = (0..=MOST_REASON_BYTES).rev().find(fits) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_between_characters() {
        assert_eq!(reason_of("short".into()), "short");
        assert_eq!(reason_of("x".repeat(1025)).len(), 1024);
        let cut = reason_of(format!("x{}", "ä".repeat(600)));
        assert_eq!(cut, format!("x{}", "ä".repeat(511)));
    }
}
