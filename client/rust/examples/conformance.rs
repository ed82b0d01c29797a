//! The conformance driver: docs/clients.md says what it takes and prints.

use std::{fmt, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use confstream_client::{Change, Client, Error, Watch, WatchMode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Default)]
struct Flags {
    target: String,
    source: String,
    globs: Vec<String>,
    mode: Option<WatchMode>,
    heartbeat: Option<Duration>,
    cache_dir: Option<PathBuf>,
    max_bytes: Option<u64>,
    wait: Option<Duration>,
    reject: Option<String>,
    slow: Duration,
}

impl Flags {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, BoxError> {
        let mut flags = Self::default();
        while let Some(argument) = arguments.next() {
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (argument.clone(), arguments.next()),
            };
            let value = value.ok_or_else(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--target" => flags.target = value,
                "--source" => flags.source = value,
                "--glob" => flags.globs.push(value),
                "--mode" if value == "snapshot" => flags.mode = Some(WatchMode::Snapshot),
                "--mode" if value == "delta" => flags.mode = Some(WatchMode::Delta),
                "--heartbeat" => flags.heartbeat = Some(Duration::try_from_secs_f64(value.parse()?)?),
                "--cache-dir" => flags.cache_dir = Some(value.into()),
                "--max-bytes" => flags.max_bytes = Some(value.parse()?),
                "--wait" => flags.wait = Some(Duration::try_from_secs_f64(value.parse()?)?),
                "--reject" => flags.reject = Some(value),
                "--slow" => flags.slow = Duration::from_millis(value.parse()?),
                _ => return Err(format!("unknown: {flag} {value}").into()),
            }
        }
        Ok(flags)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let flags = Flags::parse(std::env::args().skip(1))?;
    tracing::subscriber::set_global_default(Log)?;

    let mut builder = Client::connect(&flags.target)?.watch(flags.source).globs(flags.globs);
    if let Some(mode) = flags.mode {
        builder = builder.mode(mode);
    }
    if let Some(interval) = flags.heartbeat {
        builder = builder.heartbeat(interval);
    }
    if let Some(directory) = flags.cache_dir {
        builder = builder.cache_dir(directory);
    }
    if let Some(max_bytes) = flags.max_bytes {
        builder = builder.max_bytes(max_bytes);
    }
    let watch = builder
        .on_change(move |change| apply(&change, flags.slow, flags.reject.as_deref()))
        .on_stale(|stale| print(&json!({"event": if stale { "stale" } else { "fresh" }})))
        .start()
        .await;

    let watch = Arc::new(watch);
    let waiting = tokio::spawn(wait(Arc::clone(&watch), flags.wait.unwrap_or(Duration::from_secs(30))));
    let commands = async {
        let mut lines = BufReader::new(stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match line.as_str() {
                "current" => {
                    let version = watch.current().map(|held| held.version());
                    print(&json!({"event": "current", "version": version, "stale": watch.is_stale()}));
                }
                "close" => break,
                _ => eprintln!("conformance: no command: {line}"),
            }
        }
    };
    tokio::select! {
        () = commands => {
            watch.close().await;
            print(&json!({"event": "closed"}));
        }
        status = watch.ended() => {
            waiting.await?; // it returns, since there is nothing left to wait for
            watch.close().await;
            let code = status.map(|status| screaming(&format!("{:?}", status.code())));
            print(&json!({"event": "ended", "code": code, "stale": watch.is_stale()}));
        }
    }
    // Not by returning: a thread of the runtime may still read stdin.
    std::process::exit(0);
}

async fn wait(watch: Arc<Watch>, limit: Duration) {
    match watch.wait(limit).await {
        Ok(held) => print(&json!({"event": "settled", "version": held.version(), "stale": watch.is_stale()})),
        Err(Error::Closed) => {}
        Err(error) => print(&json!({"event": "wait_failed", "message": error.to_string()})),
    }
}

fn apply(change: &Change, slow: Duration, reject: Option<&str>) -> Result<(), String> {
    let new = &change.new;
    let digest_of = |content| {
        Sha256::digest(content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let files: serde_json::Map<_, _> = new
        .files()
        .map(|file| {
            (
                file.path().to_owned(),
                Value::from(format!("sha256:{}", digest_of(file.content()))),
            )
        })
        .collect();
    print(&json!({
        "event": "change",
        "version": new.version(),
        "epoch": new.epoch(),
        "view_digest": new.view_digest(),
        "files": files,
        "old_version": change.old.as_ref().map(|old| old.version()),
        "from_cache": change.from_cache,
        "missing_globs": new.missing_globs(),
    }));
    std::thread::sleep(slow);
    match reject {
        Some(text) if new.files().any(|file| contains(file.content(), text.as_bytes())) => {
            Err(format!("rejected: {text}"))
        }
        _ => Ok(()),
    }
}

fn contains(content: &[u8], text: &[u8]) -> bool {
    text.is_empty() || content.windows(text.len()).any(|window| window == text)
}

/// `NOT_FOUND` for `NotFound`.
fn screaming(code: &str) -> String {
    let mut name = String::new();
    for (at, letter) in code.char_indices() {
        if at > 0 && letter.is_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// One line, at once: stdout is flushed at each line feed.
fn print(line: &Value) {
    println!("{line}");
}

/// The log hook: what the client tells `tracing` goes to stderr, and disconnections to stdout, too.
struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("confstream_client")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        eprintln!("{} {}", event.metadata().level(), line.text);
        if let (Some(code), Some(retry_ms)) = (line.code, line.retry_ms) {
            print(&json!({"event": "disconnected", "code": screaming(&code), "retry_ms": retry_ms}));
        }
    }

    // The client has no spans.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line {
    text: String,
    code: Option<String>,
    retry_ms: Option<u64>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "code" {
            self.code = Some(format!("{value:?}"));
        }
        self.text += &match field.name() {
            "message" => format!("{value:?} "),
            name => format!("{name}={value:?} "),
        };
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "retry_ms" {
            self.retry_ms = Some(value);
        }
        self.record_debug(field, &value);
    }
}
