//! What a watch promises, one after the other: docs/clients.md.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use confstream_client::{
    Change, Client, Error, Outcome, Watch, WatchBuilder, WatchMode,
    proto::{self, WatchResponse},
};
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tracing::{Event, Metadata, Subscriber, field::Field, span};

use crate::support::*;

const ONE: &[(&str, &str)] = &[("a", "one"), ("b", "same")];
const TWO: &[(&str, &str)] = &[("a", "two"), ("b", "same")];
const THREE: &[(&str, &str)] = &[("a", "three"), ("b", "same")];

fn demo(server: &Server) -> WatchBuilder {
    Client::connect(&server.address).unwrap().watch("demo")
}

/// A callback that is content with everything, and what it was called with.
fn heard() -> (
    impl FnMut(Change) -> Result<(), String> + Send + 'static,
    mpsc::UnboundedReceiver<Change>,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (
        move |change| sender.send(change).map_err(|error| error.to_string()),
        receiver,
    )
}

async fn next(changes: &mut mpsc::UnboundedReceiver<Change>) -> Change {
    within(changes.recv()).await.expect("a change")
}

fn versions(change: &Change) -> (Option<i64>, i64) {
    (change.old.as_ref().map(|old| old.version()), change.new.version())
}

// 1, 2: first state, current.

#[tokio::test]
async fn the_first_content_settles_and_is_current() {
    let server = Server::start().await;
    let watch = demo(&server).start().await;
    assert!(watch.current().is_none());
    let stream = server.stream().await;
    assert_eq!(stream.request.source, "demo");
    assert_eq!(stream.request.resume_token, "");
    assert_eq!(stream.request.mode(), WatchMode::Delta);
    assert_eq!(stream.request.heartbeat_interval.unwrap().seconds, 30);
    assert!(!stream.request.client_id.is_empty());
    stream.begin(snapshot(1, ONE));
    let held = watch.wait(SOON).await.unwrap();
    assert_eq!((held.version(), held.epoch(), held.files().len()), (1, "e1", 2));
    assert_eq!(held.file("a").unwrap().text(), Ok("one"));
    assert!(held.file("c").is_none());
    assert!(!watch.is_stale());
    assert!(Arc::ptr_eq(&watch.current().unwrap(), &held));
}

#[tokio::test]
async fn options_are_sent() {
    let server = Server::start().await;
    let watch = demo(&server)
        .globs(["*.yaml", "x/**"])
        .mode(WatchMode::Snapshot)
        .heartbeat(Duration::from_millis(1500))
        .min_update_interval(Duration::from_secs(2))
        .client_id("me")
        .labels([("pod", "p1")])
        .start()
        .await;
    let request = server.stream().await.request;
    assert_eq!(request.path_globs, ["*.yaml", "x/**"]);
    assert_eq!(request.mode(), WatchMode::Snapshot);
    let heartbeat = request.heartbeat_interval.unwrap();
    assert_eq!((heartbeat.seconds, heartbeat.nanos), (1, 500_000_000));
    assert_eq!(request.min_update_interval.unwrap().seconds, 2);
    assert_eq!(
        (request.client_id.as_str(), request.labels["pod"].as_str()),
        ("me", "p1")
    );
    watch.close().await;
}

#[tokio::test]
async fn wait_fails_at_its_deadline_and_says_what_kept_it() {
    let server = Server::start().await;
    let watch = demo(&server).start().await;
    let stream = server.stream().await;
    stream.begin(waiting());
    stream.send(WatchResponse {
        in_sync: false,
        ..heartbeat(0)
    });
    let begin = Instant::now();
    let error = watch.wait(Duration::from_millis(300)).await.unwrap_err();
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert!(matches!(error, Error::DeadlineExceeded { .. }));
    assert!(
        error.to_string().contains("WAITING: app.yaml: it is no YAML"),
        "{error}"
    );
    stream.send(snapshot(1, ONE));
    assert_eq!(watch.wait(SOON).await.unwrap().version(), 1);
}

#[tokio::test]
async fn wait_says_that_there_is_no_server() {
    let address = {
        let server = Server::start().await;
        server.address.clone()
    };
    let watch = Client::connect(address).unwrap().watch("demo").start().await;
    let error = watch.wait(Duration::from_millis(500)).await.unwrap_err();
    assert!(error.to_string().contains("Unavailable"), "{error}");
}

// 3: changes.

#[tokio::test]
async fn changes_come_with_what_was_before_and_equal_content_is_none() {
    let server = Server::start().await;
    let (callback, mut changes) = heard();
    let watch = demo(&server).on_change(callback).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    let change = next(&mut changes).await;
    assert_eq!(versions(&change), (None, 1));
    assert!(!change.from_cache);
    stream.send(snapshot(2, ONE));
    until(|| watch.current().unwrap().version() == 2).await;
    stream.send(delta(2, 3, &[], &[], ONE));
    until(|| watch.current().unwrap().version() == 3).await;
    stream.send(heartbeat(4));
    until(|| watch.current().unwrap().version() == 4).await;
    stream.send(delta(4, 5, &[("a", "two")], &[], TWO));
    let change = next(&mut changes).await;
    assert_eq!(change.new.version(), 5);
    assert_eq!(change.old.as_ref().unwrap().file("a").unwrap().content(), b"one");
    assert_eq!(change.new.file("a").unwrap().content(), b"two");
    stream.send(delta(5, 6, &[("c", "new")], &["b"], &[("a", "two"), ("c", "new")]));
    let change = next(&mut changes).await;
    let paths: Vec<_> = change.new.files().map(|file| file.path().to_owned()).collect();
    assert_eq!(paths, ["a", "c"]);
    watch.close().await;
    assert!(changes.recv().await.is_none());
}

#[tokio::test]
async fn who_is_slow_misses_versions_but_never_the_newest() {
    let server = Server::start().await;
    let (go, went) = std::sync::mpsc::channel::<()>();
    let (sender, mut changes) = mpsc::unbounded_channel();
    let running = Arc::new(AtomicUsize::new(0));
    let at_once = Arc::clone(&running);
    let callback = move |change: Change| {
        assert_eq!(at_once.fetch_add(1, Ordering::SeqCst), 0, "two calls at once");
        sender.send(change).unwrap();
        went.recv().unwrap();
        at_once.fetch_sub(1, Ordering::SeqCst);
        Ok::<_, String>(())
    };
    let watch = demo(&server).on_change(callback).start().await;
    let mut stream_changes = watch.changes();
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    assert_eq!(versions(&next(&mut changes).await), (None, 1));
    assert_eq!(versions(&within(stream_changes.next()).await.unwrap()), (None, 1));
    for version in 2..=100 {
        let text = format!("number {version}");
        stream.send(snapshot(version, &[("a", &text)]));
    }
    until(|| watch.current().unwrap().version() == 100).await;
    assert_eq!(running.load(Ordering::SeqCst), 1);
    go.send(()).unwrap();
    assert_eq!(versions(&next(&mut changes).await), (Some(1), 100));
    assert_eq!(versions(&within(stream_changes.next()).await.unwrap()), (Some(1), 100));
    go.send(()).unwrap();
    watch.close().await;
    assert!(within(stream_changes.next()).await.is_none());
    assert!(within(stream_changes.next()).await.is_none());
    assert!(changes.recv().await.is_none(), "a change that was told before");
}

#[tokio::test]
async fn changes_begin_with_what_is_held() {
    let server = Server::start().await;
    let watch = demo(&server).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    watch.wait(SOON).await.unwrap();
    let mut changes = watch.changes();
    assert_eq!(versions(&within(changes.next()).await.unwrap()), (None, 1));
    let none = tokio::time::timeout(Duration::from_millis(100), changes.next()).await;
    assert!(none.is_err(), "there is no second change");
    stream.send(snapshot(2, TWO));
    assert_eq!(versions(&within(changes.next()).await.unwrap()), (Some(1), 2));
    drop(watch);
    assert!(within(changes.next()).await.is_none());
}

// 4, 5: reconnect, resume.

#[tokio::test]
async fn every_ending_but_the_seven_is_followed_by_a_stream_that_resumes() {
    let server = Server::start().await;
    let (callback, mut changes) = heard();
    let watch = demo(&server).on_change(callback).start().await;
    let mut stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    next(&mut changes).await;
    server.report().await;
    stream.end_ok();
    for code in [1, 2, 4, 6, 8, 10, 13, 14, 15] {
        stream = server.stream().await;
        assert_eq!(stream.request.resume_token, "token-1");
        stream.begin(heartbeat(1));
        server.report().await;
        stream.end(Status::new(Code::from(code), "unasked"));
    }
    stream = server.stream().await;
    stream.begin(delta(1, 2, &[("a", "two")], &[], TWO));
    assert_eq!(versions(&next(&mut changes).await), (Some(1), 2));
    drop(watch);
    stream.gone().await;
}

#[tokio::test]
async fn the_seven_end_the_watch_and_what_is_held_stays() {
    for code in [3, 5, 7, 9, 11, 12, 16].map(Code::from) {
        let server = Server::start().await;
        let (callback, mut changes) = heard();
        let watch = demo(&server).on_change(callback).start().await;
        let stream = server.stream().await;
        stream.begin(snapshot(1, ONE));
        next(&mut changes).await;
        server.report().await;
        stream.end(Status::new(code, "for good"));
        let status = within(watch.ended()).await.unwrap();
        assert_eq!((status.code(), status.message()), (code, "for good"));
        assert_eq!(watch.current().unwrap().version(), 1);
        assert_eq!(watch.wait(SOON).await.unwrap().version(), 1);
        assert!(within(changes.recv()).await.is_none());
        let reported = watch.report(&watch.current().unwrap(), Outcome::Applied).await;
        assert!(matches!(reported, Err(Error::Ended(_))));
        server.nothing_more().await;
    }
}

#[tokio::test]
async fn wait_fails_with_what_ended_the_watch() {
    let server = Server::start().await;
    let watch = demo(&server).start().await;
    server.stream().await.end(Status::not_found("there is no source demo"));
    let error = within(watch.wait(SOON)).await.unwrap_err();
    assert!(matches!(&error, Error::Ended(status) if status.code() == Code::NotFound));
    assert!(error.to_string().contains("no source demo"), "{error}");
}

#[tokio::test]
async fn the_servers_retry_info_is_waited_for() {
    let server = Server::start().await;
    let watch = demo(&server).start().await;
    // google.rpc.Status { details: [Any { RetryInfo { retry_delay } }] }; a field of a message is a tag and a length.
    let nested =
        |tag: u8, message: Vec<u8>| [vec![tag << 3 | 2, u8::try_from(message.len()).unwrap()], message].concat();
    let retry_delay = prost_types::Duration {
        seconds: 0,
        nanos: 600_000_000,
    };
    let info = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
        value: nested(1, retry_delay.encode_to_vec()),
    };
    let details = nested(3, info.encode_to_vec());
    let stream = server.stream().await;
    let ended = Instant::now();
    stream.end(Status::with_details(Code::Unavailable, "draining", details.into()));
    server.stream().await;
    assert!(ended.elapsed() >= Duration::from_millis(600), "{:?}", ended.elapsed());
    drop(watch);
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let server = Server::start().await;
    let mut network = Network::to(&server).await;
    let watch = Client::connect(&network.address).unwrap().watch("demo").start().await;
    server.stream().await.begin(snapshot(1, ONE));
    watch.wait(SOON).await.unwrap();
    network.refuse().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(watch.current().unwrap().version(), 1);
    network.accept_again().await;
    let stream = server.stream().await;
    assert_eq!(stream.request.resume_token, "token-1");
    stream.begin(delta(1, 2, &[("a", "two")], &[], TWO));
    until(|| watch.current().unwrap().version() == 2).await;
}

// 6: stale.

#[tokio::test]
async fn three_heartbeats_missed_make_the_copy_stale_once_until_the_server_settles_it() {
    let server = Server::start().await;
    let (sender, mut told) = mpsc::unbounded_channel();
    let watch = demo(&server)
        .heartbeat(Duration::from_millis(100))
        .on_stale(move |stale| sender.send(stale).unwrap())
        .start()
        .await;
    let first = server.stream().await;
    first.begin(snapshot(1, ONE));
    watch.wait(SOON).await.unwrap();
    let heard = Instant::now();
    while told.try_recv().is_ok() {} // of a busy machine, before there was a copy
    assert_eq!(within(told.recv()).await, Some(true));
    assert!(heard.elapsed() >= Duration::from_millis(290), "{:?}", heard.elapsed());
    first.gone().await;
    let second = server.stream().await;
    assert_eq!(second.request.resume_token, "token-1");
    assert!(watch.is_stale());
    second.gone().await;
    let third = server.stream().await;
    third.begin(waiting()); // heard, but it settles nothing
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(watch.is_stale());
    assert_eq!(watch.current().unwrap().version(), 1);
    assert!(told.try_recv().is_err(), "it was told once");
    third.send(heartbeat(1));
    assert_eq!(within(told.recv()).await, Some(false));
    assert!(!watch.is_stale());
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        third.send(heartbeat(1));
    }
    assert!(!watch.is_stale() && third.is_open());
}

#[tokio::test]
async fn the_copy_becomes_stale_while_the_server_is_away() {
    let server = Server::start().await;
    let mut network = Network::to(&server).await;
    let client = Client::connect(&network.address).unwrap();
    let watch = client.watch("demo").heartbeat(Duration::from_millis(100)).start().await;
    server.stream().await.begin(snapshot(1, ONE));
    watch.wait(SOON).await.unwrap();
    network.refuse().await;
    until(|| watch.is_stale()).await;
    network.accept_again().await;
    server.stream().await.begin(snapshot(2, TWO));
    until(|| !watch.is_stale()).await;
}

#[tokio::test]
async fn what_it_took_to_handle_a_message_is_no_silence() {
    let server = Server::start().await;
    let (sender, mut told) = mpsc::unbounded_channel();
    let _watch = demo(&server)
        .heartbeat(Duration::from_millis(300))
        .on_stale(move |stale| {
            if !stale {
                std::thread::sleep(Duration::from_millis(1000)); // as it would take to hash much
            }
            sender.send((stale, Instant::now())).unwrap();
        })
        .start()
        .await;
    let first = server.stream().await;
    first.begin(snapshot(1, ONE));
    first.gone().await;
    let second = server.stream().await;
    second.begin(heartbeat(1));
    let fresh = loop {
        let (stale, at) = within(told.recv()).await.unwrap();
        if !stale {
            break at;
        }
    };
    second.gone().await;
    let gone = Instant::now();
    let (stale, at) = within(told.recv()).await.unwrap();
    assert!(stale && at - fresh >= Duration::from_millis(890), "{:?}", at - fresh);
    assert!(gone - fresh >= Duration::from_millis(890), "{:?}", gone - fresh);
}

// 7: checked. Much more of it is beside the assembler.

#[tokio::test]
async fn a_lie_is_thrown_away_and_the_watch_starts_over_without_a_token() {
    let server = Server::start().await;
    let watch = demo(&server).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    watch.wait(SOON).await.unwrap();
    let mut lie = snapshot(2, TWO);
    if let Some(proto::watch_response::Event::Snapshot(snapshot)) = &mut lie.event {
        snapshot.view_digest = view_digest_of(ONE);
    }
    stream.send(lie);
    stream.gone().await;
    let stream = server.stream().await;
    assert_eq!(stream.request.resume_token, "");
    assert_eq!(watch.current().unwrap().version(), 1);
    stream.begin(snapshot(2, TWO));
    until(|| watch.current().unwrap().version() == 2).await;
}

// 8: unknown.

#[tokio::test]
async fn the_header_of_an_unknown_event_counts() {
    let server = Server::start().await;
    let watch = demo(&server).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    watch.wait(SOON).await.unwrap();
    stream.send(WatchResponse {
        event: None,
        ..heartbeat(2)
    });
    until(|| watch.current().unwrap().version() == 2).await;
    stream.end(Status::unavailable(""));
    assert_eq!(server.stream().await.request.resume_token, "token-2");
}

// 9: outcomes.

#[tokio::test]
async fn what_the_callback_returns_is_reported_and_again_to_each_new_stream() {
    let server = Server::start().await;
    let callback = |change: Change| match change.new.file("a").unwrap().text().unwrap() {
        "two" => Err(format!("two is too much{}", "ü".repeat(600))),
        "three" => panic!("three"),
        _ => Ok(()),
    };
    let watch = demo(&server).on_change(callback).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    let report = server.report().await;
    assert_eq!((report.version, report.outcome()), (1, proto::Outcome::Applied));
    assert_eq!((&report.watch_id, report.reason.as_str()), (&stream.watch_id, ""));
    stream.send(snapshot(2, TWO));
    let report = server.report().await;
    assert_eq!((report.version, report.outcome()), (2, proto::Outcome::Rejected));
    assert!(report.reason.starts_with("two is too much"));
    assert!((1023..=1024).contains(&report.reason.len()));
    stream.end(Status::cancelled(""));

    let stream = server.stream().await;
    stream.begin(heartbeat(2));
    let report = server.report().await;
    assert_eq!((report.version, report.outcome()), (2, proto::Outcome::Rejected));
    assert_eq!(report.watch_id, stream.watch_id);
    stream.send(snapshot(3, THREE));
    let report = server.report().await;
    assert_eq!((report.version, report.outcome()), (3, proto::Outcome::Rejected));
    assert_eq!(report.reason, "the callback panicked: three");
    stream.send(snapshot(4, ONE));
    assert_eq!(server.report().await.outcome(), proto::Outcome::Applied);
    stream.send(heartbeat(4));
    until(|| watch.current().unwrap().version() == 4).await;
    watch.close().await;
    server.nothing_more().await;
}

#[tokio::test]
async fn a_report_that_fails_is_tried_again_with_the_next_message() {
    let server = Server::start().await;
    let (callback, _changes) = heard();
    let _watch = demo(&server).on_change(callback).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    server
        .unanswered_report()
        .await
        .answer(Err(Status::unavailable("not now")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.nothing_more().await;
    stream.send(heartbeat(1));
    server
        .unanswered_report()
        .await
        .answer(Err(Status::not_found("not now either")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.send(WatchResponse {
        event: None,
        ..heartbeat(1)
    });
    assert_eq!(server.report().await.version, 1);
    stream.send(heartbeat(1));
    stream.send(heartbeat(2));
    assert_eq!(server.report().await.version, 2);
    assert!(stream.is_open());
}

/// Takes down the sentences of the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("confstream_client")
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| {
            if field.name() == "message" {
                self.0.lock().unwrap().push(format!("{value:?}"));
            }
        });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn what_the_server_says_of_a_report_is_one_line_of_the_log() {
    let log = Log::default();
    let _here = tracing::subscriber::set_default(log.clone());
    let server = Server::start().await;
    let (callback, _changes) = heard();
    let _watch = demo(&server).on_change(callback).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    let answer = Err(Status::unavailable("no\nERROR forged\u{1b}[2J"));
    server.unanswered_report().await.answer(answer);
    let expected = r"an outcome could not be reported: no\nERROR forged\u{1b}[2J";
    let of_the_report = |sentence: &String| sentence.starts_with("an outcome");
    until(|| log.0.lock().unwrap().iter().any(of_the_report)).await;
    let sentences = log.0.lock().unwrap();
    assert_eq!(sentences.iter().find(|s| of_the_report(s)).unwrap(), expected);
}

#[tokio::test]
async fn without_a_callback_the_program_reports() {
    let server = Server::start().await;
    let watch = demo(&server).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    let held = watch.wait(SOON).await.unwrap();
    stream.send(heartbeat(1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.nothing_more().await;

    let (answered, report) = tokio::join!(watch.report(&held, Outcome::Rejected("no".into())), server.report());
    answered.unwrap();
    assert_eq!(
        (report.outcome(), report.reason.as_str()),
        (proto::Outcome::Rejected, "no")
    );
    let (answered, report) = tokio::join!(watch.report(&held, Outcome::Applied), server.unanswered_report());
    report.answer(Err(Status::internal("broken")));
    assert!(answered.is_err_and(|error| matches!(error, Error::NotReported(_))));
    stream.send(heartbeat(1));
    assert_eq!(server.report().await.outcome(), proto::Outcome::Applied);
    watch.close().await;
    assert!(matches!(
        watch.report(&held, Outcome::Applied).await,
        Err(Error::Closed)
    ));
}

// 11: bounds.

#[tokio::test]
async fn a_version_that_is_too_large_is_refused_and_a_smaller_one_taken() {
    let server = Server::start().await;
    let watch = demo(&server).max_bytes(7).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE)); // seven bytes
    watch.wait(SOON).await.unwrap();
    stream.send(snapshot(2, THREE));
    stream.gone().await;
    let stream = server.stream().await;
    assert_eq!(watch.current().unwrap().version(), 1);
    stream.begin(snapshot(3, TWO));
    until(|| watch.current().unwrap().version() == 3).await;
}

// 12: end.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_waits_for_the_callback_and_leaves_nothing() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let server = Server::start().await;
    let before = tasks();
    let (started, mut has_started) = mpsc::unbounded_channel();
    let returned = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&returned);
    let watch = demo(&server)
        .on_change(move |_| {
            started.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            counter.fetch_add(1, Ordering::SeqCst);
            Ok::<_, String>(())
        })
        .start()
        .await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    within(has_started.recv()).await.unwrap();
    stream.send(snapshot(2, TWO));
    until(|| watch.current().unwrap().version() == 2).await;
    within(async { tokio::join!(watch.close(), watch.close()) }).await;
    assert_eq!(returned.load(Ordering::SeqCst), 1, "the callback has returned");
    stream.gone().await;
    assert_eq!(watch.current().unwrap().version(), 2);
    assert!(within(watch.ended()).await.is_none());
    watch.close().await;
    // The connection goes, too, though the watch is still here.
    until(|| tasks() <= before).await;
    assert_eq!(returned.load(Ordering::SeqCst), 1, "no call came after close()");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_from_the_callback_does_not_wait_for_it() {
    let server = Server::start().await;
    let place: Arc<Mutex<Option<Arc<Watch>>>> = Arc::default();
    let inside = Arc::clone(&place);
    let (closed, mut has_closed) = mpsc::unbounded_channel();
    let watch = demo(&server)
        .on_change(move |_| {
            while inside.lock().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let watch = inside.lock().unwrap().take().unwrap();
            tokio::runtime::Handle::current().block_on(watch.close());
            closed.send(()).map_err(|error| error.to_string())
        })
        .start()
        .await;
    let watch = Arc::new(watch);
    *place.lock().unwrap() = Some(Arc::clone(&watch));
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    within(has_closed.recv()).await.unwrap();
    stream.gone().await;
    within(watch.close()).await;
}

#[tokio::test]
async fn dropping_a_watch_ends_it() {
    let server = Server::start().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (callback, mut changes) = heard();
    let watch = demo(&server).on_change(callback).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    next(&mut changes).await;
    drop(watch);
    stream.gone().await;
    assert!(within(changes.recv()).await.is_none());
    until(|| tasks() <= before).await;
}

#[test]
fn a_watch_ends_with_its_runtime_and_its_client_goes_on_in_another() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let of_server = runtime();
    let server = of_server.block_on(Server::start());
    let client = Client::connect(&server.address).unwrap();
    let follow = async || {
        let watch = client.watch("demo").start().await;
        server.stream().await.begin(snapshot(1, ONE));
        watch.wait(SOON).await.unwrap();
        watch
    };
    let first = runtime();
    let watch = first.block_on(follow());
    assert!(!watch.is_stale());
    drop(first);
    assert!(watch.is_stale());
    runtime().block_on(async {
        assert_eq!(within(watch.ended()).await.unwrap().code(), Code::Internal);
        // Nobody has noticed yet that the connection is gone.
        let request = proto::GetSnapshotRequest::default();
        within(client.grpc().get_snapshot(request)).await.unwrap();
    });
    runtime().block_on(follow());
}

#[tokio::test]
async fn a_panic_of_what_follows_the_source_ends_the_watch() {
    let server = Server::start().await;
    // Has no time, without which nothing is followed.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_io()
        .build()
        .unwrap();
    let watch = runtime.spawn(demo(&server).start()).await.unwrap();
    assert_eq!(within(watch.ended()).await.unwrap().code(), Code::Internal);
    let error = within(watch.wait(SOON)).await.unwrap_err();
    assert!(matches!(error, Error::Ended(_)), "{error}");
    runtime.shutdown_background();
}

// Addresses, and calls that are no watch.

#[tokio::test]
async fn a_unix_socket_is_an_address() {
    let directory = Directory::new();
    let server = Server::start_on(&directory.path().join("server.sock"));
    let watch = demo(&server).start().await;
    server.stream().await.begin(snapshot(1, ONE));
    assert_eq!(watch.wait(SOON).await.unwrap().version(), 1);
}

#[tokio::test]
async fn the_generated_client_has_the_other_calls() {
    let server = Server::start().await;
    let client = Client::connect(&server.address).unwrap();
    let answer = within(client.grpc().get_snapshot(proto::GetSnapshotRequest::default()))
        .await
        .unwrap();
    assert_eq!(answer.into_inner().header.unwrap().version, 7);
}
