package confstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"

	pb "confstream.dev/go/confstream/v1"
)

// Within this time, which is that of a synctest bubble, everything has happened that is to happen.
const soon = 20 * time.Second

// version is content that a server may have.
type version struct {
	epoch  string
	number int64
	files  map[string]string
}

func (v version) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{Source: "demo", Epoch: v.epoch, Version: v.number, ResumeToken: v.token()}
}

func (v version) token() string { return fmt.Sprintf("token-%s-%d", v.epoch, v.number) }

func (v version) parts(paths []string, bytes int) []*pb.ConfigFile {
	var parts []*pb.ConfigFile
	for _, path := range paths {
		content := v.files[path]
		for offset := 0; offset == 0 || offset < len(content); offset += bytes {
			parts = append(parts, &pb.ConfigFile{
				Path: path, Content: []byte(content[offset:min(offset+bytes, len(content))]), ContentOffset: int64(offset),
				SizeBytes: int64(len(content)), Digest: contentDigest([]byte(content)), ContentType: "text/plain",
			})
		}
	}
	return parts
}

func (v version) digest() string {
	var files []File
	for _, path := range slices.Sorted(maps.Keys(v.files)) {
		files = append(files, File{Path: path, Digest: contentDigest([]byte(v.files[path]))})
	}
	return viewDigest(files)
}

// fragments are the messages of a snapshot with a part of a file, of so many bytes, in each.
func (v version) fragments(bytes int) []*pb.WatchResponse {
	parts := v.parts(slices.Sorted(maps.Keys(v.files)), bytes)
	var messages []*pb.WatchResponse
	for _, part := range parts {
		messages = append(messages, &pb.WatchResponse{
			Header: v.header(), Reason: pb.WatchReason_WATCH_REASON_UPDATE, MoreFragments: true,
			Event: &pb.WatchResponse_Snapshot{Snapshot: &pb.Snapshot{
				Files: []*pb.ConfigFile{part}, ViewDigest: v.digest(),
			}},
		})
	}
	last := messages[len(messages)-1]
	last.MoreFragments, last.InSync = false, true
	return messages
}

func (v version) snapshot() *pb.WatchResponse {
	return &pb.WatchResponse{
		Header: v.header(), InSync: true,
		Event: &pb.WatchResponse_Snapshot{Snapshot: &pb.Snapshot{
			Files: v.parts(slices.Sorted(maps.Keys(v.files)), 1<<20), ViewDigest: v.digest(),
		}},
	}
}

func (v version) deltaFrom(base version) *pb.WatchResponse {
	delta := &pb.Delta{BaseVersion: base.number, ViewDigest: v.digest()}
	for _, path := range slices.Sorted(maps.Keys(v.files)) {
		if old, found := base.files[path]; !found || old != v.files[path] {
			delta.ChangedFiles = append(delta.ChangedFiles, v.parts([]string{path}, 1<<20)...)
		}
	}
	for path := range base.files {
		if _, found := v.files[path]; !found {
			delta.RemovedPaths = append(delta.RemovedPaths, path)
		}
	}
	return &pb.WatchResponse{Header: v.header(), InSync: true, Event: &pb.WatchResponse_Delta{Delta: delta}}
}

func (v version) heartbeat() *pb.WatchResponse {
	return &pb.WatchResponse{Header: v.header(), InSync: true, Event: &pb.WatchResponse_Heartbeat{Heartbeat: &pb.Heartbeat{}}}
}

// waiting is what a server says of a source that has nothing valid yet.
func waiting() *pb.WatchResponse {
	return &pb.WatchResponse{
		Header: &pb.ResponseHeader{Source: "demo", Epoch: "e"},
		Event: &pb.WatchResponse_SourceStatus{SourceStatus: &pb.SourceStatus{
			State:      pb.SourceState_SOURCE_STATE_WAITING,
			Violations: []*pb.Violation{{Path: "a.yaml", Message: "it is no YAML"}},
		}},
	}
}

// server does with streams and reports what a test tells it to, over a network that a test can take away.
type server struct {
	pb.UnimplementedConfigServiceServer
	t       *testing.T
	grpc    *grpc.Server
	network *bufconn.Listener
	streams chan *stream
	reports chan *pb.ReportOutcomeRequest

	mu       sync.Mutex
	opened   int
	dialed   int
	away     bool
	silent   bool
	conns    []net.Conn
	reporter error // what reports are answered with
}

// stream is a Watch call.
type stream struct {
	server  *server
	id      string
	request *pb.WatchRequest
	opened  time.Time
	ended   <-chan struct{}
	sent    chan any // *pb.WatchResponse, or the error that ends the stream
}

func newServer(t *testing.T) *server {
	s := &server{
		t: t, network: bufconn.Listen(1 << 20),
		streams: make(chan *stream, 1000), reports: make(chan *pb.ReportOutcomeRequest, 1000),
		// As the real one allows.
		grpc: grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second})),
	}
	pb.RegisterConfigServiceServer(s.grpc, s)
	go s.grpc.Serve(s.network)
	t.Cleanup(s.grpc.Stop)
	t.Cleanup(s.cut)
	return s
}

// client is one whose connections lead to the server, if the network lets them.
func (s *server) client() *Client {
	s.t.Helper()
	client, err := Dial("127.0.0.1:1", grpc.WithContextDialer(s.dial))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { client.Close() })
	return client
}

// watch is of a new client.
func (s *server) watch(options ...WatchOption) *Watch {
	s.t.Helper()
	w, err := s.client().Watch(s.t.Context(), "demo", options...)
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

func (s *server) dial(ctx context.Context, _ string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialed++
	if s.away {
		return nil, errors.New("the server is away")
	}
	conn, err := s.network.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	conn = &silencedConn{Conn: conn, server: s}
	s.conns = append(s.conns, conn)
	return conn, nil
}

// silencedConn passes nothing on while the network is silent, without a word.
type silencedConn struct {
	net.Conn
	server *server
}

func (c *silencedConn) silent() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.server.silent
}

func (c *silencedConn) Write(data []byte) (int, error) {
	if c.silent() {
		return len(data), nil
	}
	return c.Conn.Write(data)
}

func (c *silencedConn) Read(data []byte) (int, error) {
	for {
		n, err := c.Conn.Read(data)
		if err != nil || !c.silent() {
			return n, err
		}
	}
}

func (s *server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// dials is how many connections were tried.
func (s *server) dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialed
}

func (s *server) cut() {
	s.set(func() {
		for _, conn := range s.conns {
			conn.Close()
		}
		s.conns = nil
	})
}

func (s *server) Watch(request *pb.WatchRequest, call grpc.ServerStreamingServer[pb.WatchResponse]) error {
	s.mu.Lock()
	s.opened++
	st := &stream{
		server: s, id: fmt.Sprintf("stream-%d", s.opened), request: request, opened: time.Now(),
		ended: call.Context().Done(), sent: make(chan any, 2000),
	}
	s.mu.Unlock()
	s.streams <- st
	for first := true; ; first = false {
		select {
		case <-call.Context().Done():
			return call.Context().Err()
		case next := <-st.sent:
			message, isMessage := next.(*pb.WatchResponse)
			if !isMessage {
				err, _ := next.(error)
				return err
			}
			if first {
				message.WatchId = st.id
			}
			if err := call.Send(message); err != nil {
				return err
			}
		}
	}
}

func (s *server) ReportOutcome(_ context.Context, request *pb.ReportOutcomeRequest) (*pb.ReportOutcomeResponse, error) {
	s.reports <- request
	s.mu.Lock()
	defer s.mu.Unlock()
	return &pb.ReportOutcomeResponse{}, s.reporter
}

// accept is the next stream that a client opens.
func (s *server) accept() *stream {
	s.t.Helper()
	return await(s.t, "a stream", s.streams)
}

// expect is accept, and that the client comes with this token.
func (s *server) expect(token string) *stream {
	s.t.Helper()
	st := s.accept()
	if got := st.request.GetResumeToken(); got != token {
		s.t.Fatalf("the client came with token %q, not %q", got, token)
	}
	return st
}

// expectReport is of the next report.
func (s *server) expectReport(st *stream, v version, outcome pb.Outcome) *pb.ReportOutcomeRequest {
	s.t.Helper()
	report := await(s.t, "a report", s.reports)
	if report.GetWatchId() != st.id || report.GetVersion() != v.number || report.GetOutcome() != outcome {
		s.t.Fatalf("got the report %v, not of version %d on %s: %v", report, v.number, st.id, outcome)
	}
	return report
}

func (s *server) expectNoReport() {
	s.t.Helper()
	select {
	case report := <-s.reports:
		s.t.Fatalf("got the report %v", report)
	case <-time.After(soon):
	}
}

func (st *stream) send(messages ...*pb.WatchResponse) {
	for _, message := range messages {
		st.sent <- message
	}
}

// end ends the stream after what was sent before; nil is OK.
func (st *stream) end(err error) {
	if err == nil {
		st.sent <- nil
		return
	}
	st.sent <- err
}

// expectGone is that the client gives the stream up.
func (st *stream) expectGone() {
	st.server.t.Helper()
	await(st.server.t, "the end of the stream", st.ended)
}

func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(10 * time.Minute):
		t.Fatalf("%s has not come", what)
		panic("unreachable")
	}
}

// changes is an option that has every change sent to the channel.
func changes() (<-chan Change, WatchOption) {
	got := make(chan Change, 2000)
	return got, OnChange(func(change Change) error {
		got <- change
		return nil
	})
}

func expectChange(t *testing.T, from <-chan Change, v version) Change {
	t.Helper()
	change := await(t, "a change", from)
	expectFiles(t, change.New, v)
	return change
}

func expectNothing[T any](t *testing.T, from <-chan T) {
	t.Helper()
	select {
	case got := <-from:
		t.Fatalf("got %v", got)
	case <-time.After(soon):
	}
}

// expectFiles is that a snapshot is of a version, and has its files.
func expectFiles(t *testing.T, s *Snapshot, v version) {
	t.Helper()
	if s == nil {
		t.Fatalf("there is nothing, not version %d", v.number)
	}
	got := map[string]string{}
	for file := range s.Files() {
		got[file.Path] = string(file.Content)
	}
	if s.Version() != v.number || s.Epoch() != v.epoch || !maps.Equal(got, v.files) || s.ViewDigest() != v.digest() {
		t.Fatalf("got version %d of %s with %d files, not version %d of %s", s.Version(), s.Epoch(), len(got), v.number, v.epoch)
	}
}
