use std::{
    any::Any,
    cell::Cell,
    fmt::{self, Display},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Mutex,
    task::{AbortHandle, JoinHandle, spawn_blocking},
    time::timeout,
};
use tonic::Status;

use crate::{
    Client, Error, Outcome,
    assembler::Assembler,
    changes::{Change, Changes, Feed},
    disk_copy::DiskCopy,
    follower::{Follower, StaleHook},
    proto::{WatchMode, WatchRequest},
    shared::{End, Shared, State, text_of},
    snapshot::Snapshot,
};

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_BYTES: u64 = 1 << 30;
/// The server's bound on what a client calls itself.
const MOST_CLIENT_ID_BYTES: usize = 256;

type Callback = Box<dyn FnMut(Change) -> Result<(), String> + Send>;

/// What is to be watched, and how. [`Client::watch`] makes it, [`start`](Self::start) begins the watch.
#[must_use = "a watch begins with start()"]
pub struct WatchBuilder {
    client: Client,
    request: WatchRequest,
    heartbeat: Duration,
    cache_dir: Option<PathBuf>,
    max_bytes: u64,
    on_change: Option<Callback>,
    on_stale: Option<StaleHook>,
}

impl WatchBuilder {
    pub(crate) fn new(client: Client, source: String) -> Self {
        Self {
            client,
            request: WatchRequest {
                source,
                mode: WatchMode::Delta.into(),
                client_id: program_name(),
                ..WatchRequest::default()
            },
            heartbeat: DEFAULT_HEARTBEAT,
            cache_dir: None,
            max_bytes: DEFAULT_MAX_BYTES,
            on_change: None,
            on_stale: None,
        }
    }

    /// Watches the files whose paths match one of `globs` instead of all: `*` matches within one path component, `**`
    /// across components, `\` makes the next character literal. At most 64, of at most 1024 bytes each.
    pub fn globs(mut self, globs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.request.path_globs = globs.into_iter().map(Into::into).collect();
        self
    }

    /// How changes are sent: as what changed ([`WatchMode::Delta`], the default), or whole.
    pub fn mode(mut self, mode: WatchMode) -> Self {
        self.request.mode = mode.into();
        self
    }

    /// After how much silence the server says that it is there: 1 s to 1 h, 30 s unless set. When three were missed,
    /// the copy is stale. Zero: it never says so, and nothing ever is.
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// The least time between two versions, at most 1 h; those between are left out. Zero unless set.
    pub fn min_update_interval(mut self, interval: Duration) -> Self {
        self.request.min_update_interval = Some(to_proto(interval));
        self
    }

    /// What the program is called in `confstream who`: at most 256 bytes without control characters. The name of its
    /// executable unless set.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.request.client_id = client_id.into();
        self
    }

    /// What else `confstream who` shows of the program, such as its pod: at most 16 of at most 256 bytes each.
    pub fn labels(mut self, labels: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let labels = labels.into_iter().map(|(key, value)| (key.into(), value.into()));
        self.request.labels = labels.collect();
        self
    }

    /// Keeps the last good snapshot in this directory, and starts with it, stale, while the server is away. What is
    /// sensitive does not belong on a disk.
    pub fn cache_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(directory.into());
        self
    }

    /// The most bytes of content that a version may have: 1 GiB unless set. A larger one is refused, and asked for
    /// again.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Calls `callback` with every change: one at a time, in order, on a thread where it may block.
    ///
    /// When it returns `Ok`, the version is reported as applied, and kept in the [`cache_dir`](Self::cache_dir); when
    /// it fails or panics, as rejected with the text of the failure. While it is slow, versions are left out, but never
    /// the newest.
    pub fn on_change<E: Display>(mut self, mut callback: impl FnMut(Change) -> Result<(), E> + Send + 'static) -> Self {
        // The alternate form has the whole chain of errors with the error types that know one.
        let callback = move |change| callback(change).map_err(|error| format!("{error:#}"));
        self.on_change = Some(Box::new(callback));
        self
    }

    /// Calls `hook` with `true` when the copy becomes stale and with `false` when it no longer is. It must not block; if
    /// it panics, this is logged.
    pub fn on_stale(mut self, hook: impl FnMut(bool) + Send + 'static) -> Self {
        self.on_stale = Some(Box::new(hook));
        self
    }

    /// Begins the watch. Returns as soon as the copy on disk, if one is wanted, has been read.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time and IO enabled.
    pub async fn start(mut self) -> Watch {
        let source = self.request.source.clone();
        self.request.heartbeat_interval = Some(to_proto(self.heartbeat));
        let disk_copy = self
            .cache_dir
            .map(|directory| DiskCopy::new(directory, &source, &self.request.path_globs));
        let assembler = match disk_copy.clone() {
            Some(disk_copy) => load(disk_copy, self.max_bytes).await,
            None => Assembler::new(self.max_bytes),
        };
        let held = assembler.held().cloned();
        let shared = Arc::new(Shared::new(
            self.client.clone(),
            source,
            State {
                held: held.clone(),
                stale: held.is_some(),
                obstacle: "the server has not answered yet".to_owned(),
                ..State::default()
            },
        ));
        let feed = Feed::new(shared.state.subscribe(), held);
        let follower = Follower::new(
            Arc::clone(&shared),
            self.client,
            self.request,
            self.heartbeat,
            assembler,
            self.on_stale,
        );
        let reporting = Arc::clone(&shared);
        let mut tasks = vec![
            tokio::spawn(follower.run()),
            tokio::spawn(async move { reporting.keep_reporting().await }),
        ];
        let abort = tasks.iter().map(JoinHandle::abort_handle).collect();
        if self.on_change.is_some() || disk_copy.is_some() {
            // Never aborted: a version that was applied is kept on disk, even if the watch was closed meanwhile.
            tasks.push(tokio::spawn(deliver(
                Arc::clone(&shared),
                feed,
                self.on_change,
                disk_copy,
            )));
        }
        Watch {
            shared,
            abort,
            tasks: Mutex::new(tasks),
        }
    }
}

impl fmt::Debug for WatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBuilder")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// A source, or a part of it, that is followed until the watch is [closed](Self::close) or dropped, or the server
/// answers that it cannot be.
///
/// All methods may be called from any thread and any number of tasks at once; put it into an `Arc` to share it.
pub struct Watch {
    shared: Arc<Shared>,
    abort: Vec<AbortHandle>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Watch {
    /// Waits until the server has settled what is held: by content, or by word that it is current. Returns at once if it
    /// has before.
    ///
    /// If that takes longer than `limit`, the copy from disk is returned if there is one; it [is
    /// stale](Self::is_stale) then.
    ///
    /// # Errors
    ///
    /// [`Error::DeadlineExceeded`]: there is none; [`Error::Ended`] and [`Error::Closed`]: nothing was settled before the
    /// watch ended.
    pub async fn wait(&self, limit: Duration) -> Result<Arc<Snapshot>, Error> {
        let mut state = self.shared.state.subscribe();
        let settled = state.wait_for(|state| state.settled || state.end.is_some());
        let in_time = timeout(limit, settled).await.is_ok();
        let state = self.shared.state.borrow();
        match (&state.held, &state.end) {
            (Some(held), _) if state.settled || !in_time => Ok(Arc::clone(held)),
            (_, Some(End::ByItself(status))) => Err(Error::Ended(status.clone())),
            (_, Some(End::Closed)) => Err(Error::Closed),
            (_, None) => Err(Error::DeadlineExceeded {
                waited: limit,
                why: state.obstacle.clone(),
            }),
        }
    }

    /// The newest complete snapshot, if there is one. Never blocks; answers after the end of the watch, too.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.shared.state.borrow().held.clone()
    }

    /// Nothing was heard of the server for three heartbeats, or nothing yet since the copy on disk was read, or the watch
    /// has ended or is closed: what is held may be out of date.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let state = self.shared.state.borrow();
        state.held.is_some() && (state.stale || state.end.is_some())
    }

    /// The changes from now on, beginning with what is held. Each stream has them all.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::new(Feed::new(self.shared.state.subscribe(), None))
    }

    /// Reports what became of `snapshot`, for programs without a callback: those that have one need not.
    ///
    /// As long as it is held, it is told again to every new stream.
    ///
    /// # Errors
    ///
    /// [`Error::NotReported`]: it did not reach the server, and is tried again with the next message of the stream;
    /// [`Error::Ended`], [`Error::Closed`]: there is no stream to report to any more.
    pub async fn report(&self, snapshot: &Snapshot, outcome: Outcome) -> Result<(), Error> {
        match &self.shared.state.borrow().end {
            Some(End::ByItself(status)) => return Err(Error::Ended(status.clone())),
            Some(End::Closed) => return Err(Error::Closed),
            None => {}
        }
        self.shared.decide(snapshot, outcome);
        self.shared.report().await.map_err(Error::NotReported)
    }

    /// Waits for the end of the watch. Returns the server's answer if that ended it, `INTERNAL` if a panic did or the end
    /// of the runtime that it was started in, `None` if it was closed.
    pub async fn ended(&self) -> Option<Status> {
        let mut state = self.shared.state.subscribe();
        let state = state.wait_for(|state| state.end.is_some()).await.ok()?;
        match state.end.as_ref()? {
            End::ByItself(status) => Some(status.clone()),
            End::Closed => None,
        }
    }

    /// Ends the watch, and waits until its stream is closed and a callback that is running has returned; not for the
    /// callback if called from it. May be called more than once.
    pub async fn close(&self) {
        self.stop();
        if INSIDE.get() == self.id() {
            return;
        }
        let mut tasks = self.tasks.lock().await;
        while let Some(task) = tasks.last_mut() {
            // An error says that it was aborted, which is what was wanted.
            let _ = task.await;
            tasks.pop();
        }
    }

    fn stop(&self) {
        self.shared.end(End::Closed);
        self.abort.iter().for_each(AbortHandle::abort);
    }

    fn id(&self) -> usize {
        id_of(&self.shared)
    }
}

/// Ends the watch without waiting for anything.
impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

thread_local! {
    /// The watch whose callback runs on this thread; 0: none.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

fn id_of(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared).addr()
}

/// Tells each change to the callback, its outcome to the server, and what was not rejected to the disk.
async fn deliver(shared: Arc<Shared>, mut feed: Feed, mut callback: Option<Callback>, disk_copy: Option<DiskCopy>) {
    let id = id_of(&shared);
    while let Some(change) = feed.next().await {
        let (snapshot, from_cache) = (Arc::clone(&change.new), change.from_cache);
        if let Some(mut call) = callback.take() {
            shared.give(&snapshot);
            let called = spawn_blocking(move || {
                INSIDE.set(id);
                let result = catch_unwind(AssertUnwindSafe(|| call(change)));
                INSIDE.set(0);
                let panicked = |panic: Box<dyn Any + Send>| Err(format!("the callback panicked: {}", text_of(&*panic)));
                (call, result.unwrap_or_else(panicked))
            });
            let Ok((call, result)) = called.await else {
                return; // the runtime is shutting down
            };
            callback = Some(call);
            let rejected = result.is_err();
            if let Err(reason) = &result {
                let (source, version) = (&shared.source, snapshot.version());
                tracing::warn!(%source, version, "version {version} was rejected: {reason}");
            }
            shared.decide(&snapshot, result.map_or_else(Outcome::Rejected, |()| Outcome::Applied));
            shared.report_soon();
            if rejected {
                continue;
            }
        }
        if let Some(disk_copy) = disk_copy.clone()
            && !from_cache
        {
            store(&shared.source, disk_copy, snapshot).await;
        }
    }
}

async fn load(disk_copy: DiskCopy, max_bytes: u64) -> Assembler {
    let path = disk_copy.path();
    let loaded = spawn_blocking(move || disk_copy.load(max_bytes)).await;
    match loaded.unwrap_or_else(|error| Err(error.into())) {
        Ok(assembler) => assembler,
        Err(error) => {
            tracing::warn!("the copy {} is not used: {error}", path.display());
            Assembler::new(max_bytes)
        }
    }
}

async fn store(source: &str, disk_copy: DiskCopy, snapshot: Arc<Snapshot>) {
    let path = disk_copy.path();
    let stored = spawn_blocking(move || disk_copy.store(&snapshot)).await;
    if let Err(error) = stored.unwrap_or_else(|error| Err(error.into())) {
        tracing::warn!(%source, "the copy {} could not be written: {error}", path.display());
    }
}

fn to_proto(duration: Duration) -> prost_types::Duration {
    // What does not fit is far beyond what a server takes, and is answered so.
    duration.try_into().unwrap_or(prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    })
}

fn program_name() -> String {
    let path = std::env::args_os().next().map(PathBuf::from);
    let name = path
        .as_deref()
        .and_then(|path| path.file_name())
        .unwrap_or_default()
        .to_string_lossy();
    let mut name: String = name.chars().filter(|c| !c.is_control()).collect();
    while name.len() > MOST_CLIENT_ID_BYTES {
        name.pop();
    }
    name
}
