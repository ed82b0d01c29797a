//! The copy on disk: docs/clients.md.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use confstream_client::{Change, Client, WatchBuilder, proto::WatchResponse};
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::Status;

use crate::support::*;

const ONE: &[(&str, &str)] = &[("a", "one"), ("b", "same")];
const TWO: &[(&str, &str)] = &[("a", "two"), ("b", "same")];

/// Of all files: the SHA-256 of nothing.
fn copy_in(directory: &Directory) -> PathBuf {
    directory.path().join("demo.e3b0c44298fc1c14.snapshot")
}

fn read(path: &PathBuf) -> WatchResponse {
    WatchResponse::decode(&fs::read(path).unwrap()[..]).unwrap()
}

fn cached(address: &str, directory: &Directory) -> WatchBuilder {
    Client::connect(address)
        .unwrap()
        .watch("demo")
        .cache_dir(directory.path())
}

/// An address where nobody listens.
async fn nowhere() -> String {
    Server::start().await.address.clone()
}

#[tokio::test]
async fn it_is_written_when_the_callback_has_returned_and_never_when_it_failed() {
    let (server, directory) = (Server::start().await, Directory::new());
    let path = copy_in(&directory);
    let (go, went) = std::sync::mpsc::channel::<()>();
    let (called, mut calls) = mpsc::unbounded_channel();
    let callback = move |change: Change| {
        called.send(()).unwrap();
        went.recv().unwrap();
        if change.new.version() == 2 { Err("two") } else { Ok(()) }
    };
    let watch = cached(&server.address, &directory).on_change(callback).start().await;
    let stream = server.stream().await;
    stream.begin(snapshot(1, ONE));
    within(calls.recv()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!path.exists(), "it was written before the callback has returned");
    go.send(()).unwrap();
    until(|| path.exists()).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let mut expected = snapshot(1, ONE);
    expected.in_sync = false;
    assert_eq!(read(&path), expected);

    stream.send(snapshot(2, TWO));
    within(calls.recv()).await.unwrap();
    go.send(()).unwrap();
    stream.send(snapshot(3, &[]));
    within(calls.recv()).await.unwrap();
    assert_eq!(read(&path), expected, "a version that was rejected is on disk");
    go.send(()).unwrap();
    // What was applied is on disk when close() returns.
    watch.close().await;
    assert_eq!(read(&path).header.unwrap().version, 3);
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        1,
        "something was left behind"
    );
}

#[tokio::test]
async fn without_a_callback_it_is_written_at_once() {
    let (server, parent) = (Server::start().await, Directory::new());
    let directory = parent.path().join("made/by/the/client");
    let client = Client::connect(&server.address).unwrap();
    // A view has a file of its own: printf 'a\nb*\n' | sha256sum
    let path = directory.join("demo.fdfffc4b9c801109.snapshot");
    let _watch = client
        .watch("demo")
        .globs(["b*", "a", "b*"])
        .cache_dir(directory)
        .start()
        .await;
    server.stream().await.begin(snapshot(1, ONE));
    until(|| path.exists()).await;
}

#[tokio::test]
async fn it_is_held_stale_while_the_server_is_away_and_settled_by_it() {
    let directory = Directory::new();
    fs::write(copy_in(&directory), snapshot(5, ONE).encode_to_vec()).unwrap();
    let (sender, mut changes) = mpsc::unbounded_channel();
    let callback = move |change: Change| sender.send(change).map_err(|error| error.to_string());
    let watch = cached(&nowhere().await, &directory).on_change(callback).start().await;
    assert_eq!(watch.current().unwrap().version(), 5);
    assert!(watch.is_stale());
    let change = within(changes.recv()).await.unwrap();
    assert!(change.from_cache && change.old.is_none());
    assert_eq!(watch.wait(Duration::from_millis(200)).await.unwrap().version(), 5);
    watch.close().await;

    let server = Server::start().await;
    let (sender, mut changes) = mpsc::unbounded_channel();
    let (stale, mut told) = mpsc::unbounded_channel();
    let watch = cached(&server.address, &directory)
        .on_change(move |change| sender.send(change).map_err(|error| error.to_string()))
        .on_stale(move |is_stale| stale.send(is_stale).unwrap())
        .start()
        .await;
    assert!(within(changes.recv()).await.unwrap().from_cache);
    let stream = server.stream().await;
    assert_eq!(stream.request.resume_token, "token-5");
    let early = tokio::time::timeout(Duration::from_millis(100), watch.wait(SOON)).await;
    assert!(early.is_err(), "the copy on disk settled it");
    assert_eq!(within(told.recv()).await, Some(true));
    stream.begin(heartbeat(5));
    assert_eq!(watch.wait(SOON).await.unwrap().version(), 5);
    assert!(!watch.is_stale());
    assert_eq!(within(told.recv()).await, Some(false));
    // What works with it is told to the server now that it knows the version.
    assert_eq!(server.report().await.version, 5);
    stream.send(delta(5, 6, &[("a", "two")], &[], TWO));
    let change = within(changes.recv()).await.unwrap();
    assert!(!change.from_cache);
    assert_eq!(change.old.unwrap().version(), 5);
    until(|| read(&copy_in(&directory)).header.unwrap().version == 6).await;
}

#[tokio::test]
async fn a_hook_that_panics_takes_nothing_along() {
    let (server, directory) = (Server::start().await, Directory::new());
    fs::write(copy_in(&directory), snapshot(5, ONE).encode_to_vec()).unwrap();
    let (sender, mut told) = mpsc::unbounded_channel();
    let hook = move |is_stale| {
        sender.send(is_stale).unwrap();
        panic!("stale: {is_stale}");
    };
    let watch = cached(&server.address, &directory).on_stale(hook).start().await;
    assert_eq!(within(told.recv()).await, Some(true));
    let stream = server.stream().await;
    stream.begin(heartbeat(5));
    assert_eq!(within(told.recv()).await, Some(false));
    stream.send(snapshot(6, TWO));
    until(|| watch.current().unwrap().version() == 6).await;
    assert!(!watch.is_stale() && stream.is_open());
}

#[tokio::test]
async fn wait_fails_in_spite_of_it_when_the_server_ends_the_watch() {
    let (server, directory) = (Server::start().await, Directory::new());
    fs::write(copy_in(&directory), snapshot(5, ONE).encode_to_vec()).unwrap();
    let watch = cached(&server.address, &directory).start().await;
    server.stream().await.end(Status::not_found("there is no source demo"));
    assert!(within(watch.wait(SOON)).await.is_err());
    assert_eq!(watch.current().unwrap().version(), 5);
}

#[tokio::test]
async fn one_that_is_not_what_it_says_is_left_alone() {
    let good = snapshot(5, ONE).encode_to_vec();
    let mut flipped = good.clone();
    let at = good.windows(3).position(|window| window == b"one").unwrap();
    flipped[at] ^= 1;
    let mut of_another = snapshot(5, ONE);
    of_another.header.as_mut().unwrap().source = "other".into();
    let fragment = WatchResponse {
        more_fragments: true,
        ..snapshot(5, ONE)
    };
    for bad in [
        flipped,
        good[..good.len() - 1].to_vec(),
        Vec::new(),
        b"text".to_vec(),
        of_another.encode_to_vec(),
        fragment.encode_to_vec(),
        heartbeat(5).encode_to_vec(),
        delta(4, 5, ONE, &[], ONE).encode_to_vec(),
    ] {
        let directory = Directory::new();
        fs::write(copy_in(&directory), &bad).unwrap();
        let watch = cached(&nowhere().await, &directory).start().await;
        assert!(watch.current().is_none());
        assert!(!watch.is_stale());
        assert!(watch.wait(Duration::from_millis(10)).await.is_err());
        watch.close().await;
        assert_eq!(fs::read(copy_in(&directory)).unwrap(), bad);
    }
}

#[tokio::test]
async fn no_source_leads_out_of_the_directory() {
    let (server, parent) = (Server::start().await, Directory::new());
    let directory = parent.path().join("cache");
    let client = Client::connect(&server.address).unwrap();
    let watch = client.watch("../demo").cache_dir(&directory).start().await;
    server.stream().await.begin(snapshot(1, ONE));
    watch.wait(SOON).await.unwrap();
    watch.close().await;
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_takes_nothing_away() {
    let (server, parent) = (Server::start().await, Directory::new());
    let file = parent.path().join("file");
    fs::write(&file, "no directory").unwrap();
    let client = Client::connect(&server.address).unwrap();
    let watch = client.watch("demo").cache_dir(&file).start().await;
    server.stream().await.begin(snapshot(1, ONE));
    assert_eq!(watch.wait(SOON).await.unwrap().version(), 1);
    watch.close().await;
    assert_eq!(watch.current().unwrap().version(), 1);
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_in_time() {
    let directory = Directory::new();
    let litter = |name: &str, age: u64| {
        let path = directory.path().join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age))
            .unwrap();
        path
    };
    let old = litter("demo.e3b0c44298fc1c14.0123456789abcdef.tmp", 3600);
    let new = litter("demo.e3b0c44298fc1c14.fedcba9876543210.tmp", 10);
    let of_another = litter("demo2.e3b0c44298fc1c14.0123456789abcdef.tmp", 3600);
    let _watch = cached(&nowhere().await, &directory).start().await;
    assert!(!old.exists() && new.exists() && of_another.exists());
}
