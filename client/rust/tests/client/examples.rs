//! The examples run, and README shows them.

use std::{path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::support::*;

/// Cargo builds examples before tests.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let mut command = Command::new(tests.parent().unwrap().parent().unwrap().join("examples").join(name));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

fn lines_of(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    within(lines.next_line()).await.unwrap().expect("one more line")
}

async fn json(lines: &mut Lines<BufReader<ChildStdout>>) -> serde_json::Value {
    serde_json::from_str(&next(lines).await).unwrap()
}

#[tokio::test]
async fn the_first_example_prints_every_change() {
    let server = Server::start().await;
    let mut child = example("first").arg(&server.address).spawn().unwrap();
    let mut lines = lines_of(&mut child);
    let stream = server.stream().await;
    assert!(
        stream.request.client_id.starts_with("first"),
        "{}",
        stream.request.client_id
    );
    stream.begin(snapshot(1, &[("greeting.yaml", "hello")]));
    assert_eq!(next(&mut lines).await, "version 1: hello");
    stream.send(snapshot(2, &[("greeting.yaml", "good morning")]));
    assert_eq!(next(&mut lines).await, "version 2: good morning");
    stream.end(tonic::Status::not_found("the source was removed"));
    assert!(within(child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn the_conformance_driver_prints_what_its_contract_says() {
    let server = Server::start().await;
    let mut child = example("conformance")
        .args([
            "--target",
            &server.address,
            "--source",
            "demo",
            "--glob",
            "*",
            "--mode",
            "snapshot",
        ])
        .args([
            "--heartbeat",
            "2",
            "--wait",
            "10",
            "--reject",
            "bad",
            "--slow",
            "1",
            "--max-bytes",
            "1000",
        ])
        .spawn()
        .unwrap();
    let mut lines = lines_of(&mut child);
    let stream = server.stream().await;
    assert_eq!(stream.request.path_globs, ["*"]);
    stream.begin(snapshot(1, &[("a", "one")]));
    let (mut first, mut second) = (json(&mut lines).await, json(&mut lines).await);
    if first["event"] == "settled" {
        std::mem::swap(&mut first, &mut second);
    }
    let expected = serde_json::json!({
        "event": "change", "version": 1, "epoch": "e1", "view_digest": view_digest_of(&[("a", "one")]),
        "files": {"a": digest_of(b"one")}, "old_version": null, "from_cache": false, "missing_globs": [],
    });
    assert_eq!(first, expected);
    assert_eq!(
        second,
        serde_json::json!({"event": "settled", "version": 1, "stale": false})
    );
    server.report().await;
    stream.send(snapshot(2, &[("a", "a bad one")]));
    assert_eq!(json(&mut lines).await["old_version"], 1);
    assert_eq!(server.report().await.reason, "rejected: bad");

    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"current\n").await.unwrap();
    assert_eq!(
        json(&mut lines).await,
        serde_json::json!({"event": "current", "version": 2, "stale": false})
    );
    stream.end(tonic::Status::unavailable("gone"));
    let line = json(&mut lines).await;
    assert_eq!(line["event"], "disconnected");
    assert_eq!(line["code"], "UNAVAILABLE");
    assert!(line["retry_ms"].as_u64().unwrap() <= 100);
    server
        .stream()
        .await
        .end(tonic::Status::not_found("there is no source demo"));
    assert_eq!(
        json(&mut lines).await,
        serde_json::json!({"event": "ended", "code": "NOT_FOUND", "stale": true})
    );
    let status = tokio::time::timeout(Duration::from_secs(10), child.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success());
}

#[test]
fn readme_has_the_first_example() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let read = |name| std::fs::read_to_string(directory.join(name)).unwrap();
    let (readme, first) = (read("README.md"), read("examples/first.rs"));
    let body = first.split_once("\n\n").unwrap().1;
    assert!(
        readme.contains(body),
        "README.md does not show what examples/first.rs is"
    );
}
