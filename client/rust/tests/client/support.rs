//! A server that does what a test tells it, and the words for what it sends.

use std::{future::Future, net::SocketAddr, path::Path, pin::Pin, time::Duration};

use confstream_client::proto::{
    ConfigFile, Delta, GetSnapshotRequest, GetSnapshotResponse, Heartbeat, ListSourcesRequest, ListSourcesResponse,
    ReportOutcomeRequest, ReportOutcomeResponse, ResponseHeader, Snapshot, SourceState, SourceStatus, Violation,
    WatchRequest, WatchResponse, watch_response::Event,
};
use sha2::{Digest, Sha256};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixListener},
    sync::{Mutex, mpsc},
    task::{AbortHandle, JoinSet},
};
use tokio_stream::{
    Stream,
    wrappers::{TcpListenerStream, UnboundedReceiverStream, UnixListenerStream},
};
use tonic::{Request, Response, Status, transport::server::Router};

mod proto {
    #![allow(clippy::all)]
    include!("proto/confstream.v1.rs");
}
use proto::config_service_server::{ConfigService, ConfigServiceServer};

/// Waits for what must happen, however busy the machine is.
pub async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), event)
        .await
        .expect("it did not happen within 20 s")
}

pub async fn until(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub const SOON: Duration = Duration::from_secs(20);

/// A server whose streams a test plays.
pub struct Server {
    pub address: String,
    streams: Mutex<mpsc::UnboundedReceiver<ServerStream>>,
    reports: Mutex<mpsc::UnboundedReceiver<Report>>,
    task: AbortHandle,
}

/// A Watch call.
pub struct ServerStream {
    pub request: WatchRequest,
    pub watch_id: String,
    outbox: mpsc::UnboundedSender<Result<WatchResponse, Status>>,
}

/// A ReportOutcome call, to be answered.
pub struct Report {
    pub request: ReportOutcomeRequest,
    answer: tokio::sync::oneshot::Sender<Result<(), Status>>,
}

impl Report {
    pub fn answer(self, answer: Result<(), Status>) -> ReportOutcomeRequest {
        self.answer.send(answer).expect("the client waits for an answer");
        self.request
    }
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self::serve(address, |router| async move {
            router
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        })
    }

    pub fn start_on(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        Self::serve(format!("unix:{}", socket.display()), |router| async move {
            router
                .serve_with_incoming(UnixListenerStream::new(listener))
                .await
                .unwrap();
        })
    }

    fn serve<F: Future<Output = ()> + Send + 'static>(address: String, serve: impl FnOnce(Router) -> F) -> Self {
        let (stream_sender, streams) = mpsc::unbounded_channel();
        let (report_sender, reports) = mpsc::unbounded_channel();
        let service = ConfigServiceServer::new(Script {
            streams: stream_sender,
            reports: report_sender,
        });
        let router = tonic::transport::Server::builder().add_service(service);
        Self {
            address,
            streams: Mutex::new(streams),
            reports: Mutex::new(reports),
            task: tokio::spawn(serve(router)).abort_handle(),
        }
    }

    /// The next stream that a client opens.
    pub async fn stream(&self) -> ServerStream {
        within(async { self.streams.lock().await.recv().await.unwrap() }).await
    }

    /// The next report, which is taken.
    pub async fn report(&self) -> ReportOutcomeRequest {
        self.unanswered_report().await.answer(Ok(()))
    }

    pub async fn unanswered_report(&self) -> Report {
        within(async { self.reports.lock().await.recv().await.unwrap() }).await
    }

    /// Sees that no stream and no report came that nobody waited for.
    pub async fn nothing_more(&self) {
        assert!(
            self.streams.lock().await.try_recv().is_err(),
            "there is one more stream"
        );
        assert!(
            self.reports.lock().await.try_recv().is_err(),
            "there is one more report"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ServerStream {
    pub fn send(&self, message: WatchResponse) {
        self.outbox.send(Ok(message)).expect("the client reads");
    }

    /// The first message of the stream.
    pub fn begin(&self, message: WatchResponse) {
        self.send(WatchResponse {
            watch_id: self.watch_id.clone(),
            ..message
        });
    }

    pub fn end(self, status: Status) {
        self.outbox.send(Err(status)).expect("the client reads");
    }

    pub fn end_ok(self) {}

    /// Waits until the client has given it up.
    pub async fn gone(&self) {
        within(self.outbox.closed()).await;
    }

    pub fn is_open(&self) -> bool {
        !self.outbox.is_closed()
    }
}

struct Script {
    streams: mpsc::UnboundedSender<ServerStream>,
    reports: mpsc::UnboundedSender<Report>,
}

#[tonic::async_trait]
impl ConfigService for Script {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (outbox, messages) = mpsc::unbounded_channel();
        let watch_id = format!("{:032x}", fastrand::u128(..));
        let stream = ServerStream {
            request: request.into_inner(),
            watch_id,
            outbox,
        };
        self.streams
            .send(stream)
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(messages))))
    }

    async fn report_outcome(
        &self,
        request: Request<ReportOutcomeRequest>,
    ) -> Result<Response<ReportOutcomeResponse>, Status> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let report = Report {
            request: request.into_inner(),
            answer,
        };
        self.reports
            .send(report)
            .map_err(|_| Status::unavailable("the test is over"))?;
        answered.await.unwrap_or(Ok(()))?;
        Ok(Response::new(ReportOutcomeResponse {}))
    }

    async fn get_snapshot(&self, _: Request<GetSnapshotRequest>) -> Result<Response<GetSnapshotResponse>, Status> {
        Ok(Response::new(GetSnapshotResponse {
            header: Some(header(7)),
            ..GetSnapshotResponse::default()
        }))
    }

    async fn list_sources(&self, _: Request<ListSourcesRequest>) -> Result<Response<ListSourcesResponse>, Status> {
        Err(Status::unimplemented("no test lists"))
    }
}

/// Stands between a client and a server, and breaks connections.
pub struct Network {
    pub address: String,
    listening: SocketAddr,
    server: String,
    connections: JoinSet<()>,
}

impl Network {
    pub async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listening = listener.local_addr().unwrap();
        let mut network = Self {
            address: listening.to_string(),
            listening,
            server: server.address.clone(),
            connections: JoinSet::new(),
        };
        network.pass(listener);
        network
    }

    fn pass(&mut self, listener: TcpListener) {
        let server = self.server.clone();
        self.connections.spawn(async move {
            let mut pairs = JoinSet::new(); // ends with this task
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut backend = TcpStream::connect(&server).await.unwrap();
                pairs.spawn(async move {
                    let _ = copy_bidirectional(&mut client, &mut backend).await;
                });
            }
        });
    }

    /// All connections are reset, and new ones refused.
    pub async fn refuse(&mut self) {
        self.connections.shutdown().await;
    }

    pub async fn accept_again(&mut self) {
        let listener = TcpListener::bind(self.listening).await.unwrap();
        self.pass(listener);
    }
}

fn hex(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", hex(content))
}

pub fn view_digest_of(files: &[(&str, &str)]) -> String {
    let lines: String = files
        .iter()
        .map(|(path, text)| format!("{}  {path}\n", hex(text.as_bytes())))
        .collect();
    digest_of(lines.as_bytes())
}

pub fn file(path: &str, text: &str) -> ConfigFile {
    ConfigFile {
        path: path.into(),
        content: text.into(),
        size_bytes: text.len() as i64,
        digest: digest_of(text.as_bytes()),
        content_type: "text/plain".into(),
        ..ConfigFile::default()
    }
}

pub fn header(version: i64) -> ResponseHeader {
    ResponseHeader {
        source: "demo".into(),
        epoch: "e1".into(),
        version,
        resume_token: if version == 0 {
            String::new()
        } else {
            format!("token-{version}")
        },
        ..ResponseHeader::default()
    }
}

fn message(version: i64, event: Event) -> WatchResponse {
    WatchResponse {
        header: Some(header(version)),
        in_sync: true,
        event: Some(event),
        ..WatchResponse::default()
    }
}

pub fn snapshot(version: i64, files: &[(&str, &str)]) -> WatchResponse {
    let event = Snapshot {
        files: files.iter().map(|(path, text)| file(path, text)).collect(),
        view_digest: view_digest_of(files),
        ..Snapshot::default()
    };
    message(version, Event::Snapshot(event))
}

/// `files` is what there is after it.
pub fn delta(
    base: i64,
    version: i64,
    changed: &[(&str, &str)],
    removed: &[&str],
    files: &[(&str, &str)],
) -> WatchResponse {
    let event = Delta {
        base_version: base,
        changed_files: changed.iter().map(|(path, text)| file(path, text)).collect(),
        removed_paths: removed.iter().map(ToString::to_string).collect(),
        view_digest: view_digest_of(files),
        ..Delta::default()
    };
    message(version, Event::Delta(event))
}

pub fn heartbeat(version: i64) -> WatchResponse {
    message(version, Event::Heartbeat(Heartbeat {}))
}

pub fn waiting() -> WatchResponse {
    let violation = Violation {
        path: "app.yaml".into(),
        message: "it is no YAML".into(),
        ..Violation::default()
    };
    let status = SourceStatus {
        state: SourceState::Waiting.into(),
        violations: vec![violation],
        ..SourceStatus::default()
    };
    WatchResponse {
        in_sync: false,
        ..message(0, Event::SourceStatus(status))
    }
}

/// A directory that goes with the test.
pub struct Directory(std::path::PathBuf);

impl Directory {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("confstream-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
