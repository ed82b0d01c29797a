package confstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "confstream.dev/go/confstream/v1"
)

// Heartbeats to miss before the copy is stale.
const missedHeartbeats = 3

// publish has the watch's state changed. Only the goroutine in run calls it.
func (w *Watch) publish(change func(*watchState)) {
	old := w.state.Load()
	state := *old
	state.next = make(chan struct{})
	change(&state)
	w.state.Store(&state)
	close(old.next)
}

// run follows the source until the watch is closed or an error ends it.
func (w *Watch) run() {
	w.callsProgram()
	if w.state.Load().stale {
		w.options.log.Warn("stale", "version", w.assembler.held.Version(), "why", "it comes from the cache directory")
		w.options.onStale(true)
	}
	patience := missedHeartbeats * w.options.heartbeat
	w.staleness = time.NewTimer(patience)
	defer w.staleness.Stop()
	var ended error
	for {
		conn := w.client.take()
		silent, err := w.follow(conn, patience)
		unconnected := conn.GetState() == connectivity.TransientFailure || conn.GetState() == connectivity.Connecting
		w.client.giveBack(conn, silent || unconnected)
		if w.ctx.Err() != nil {
			break
		}
		if !worthRetrying(err) {
			ended = fmt.Errorf("confstream: source %q: %w", w.request.GetSource(), err)
			w.options.log.Error("ended", "code", codeName(err), "error", err)
			break
		}
		delay := max(w.backoff.next(), askedDelay(err))
		w.options.log.Warn("disconnected", "code", codeName(err), "error", err, "retry_in", delay)
		w.publish(func(state *watchState) { state.waiting = err.Error() })
		w.options.onDisconnect(err, delay)
		w.pause(delay)
	}
	w.publish(func(state *watchState) { state.ended, state.err = true, ended })
}

type received struct {
	message *pb.WatchResponse
	err     error
}

// follow follows one stream until it ends, and says if that is because nothing was heard, and why it is.
func (w *Watch) follow(conn *grpc.ClientConn, patience time.Duration) (silent bool, reason error) {
	ctx, cancel := context.WithCancel(w.ctx)
	stub := pb.NewConfigServiceClient(conn)
	request := proto.CloneOf(w.request)
	request.ResumeToken = w.assembler.token
	w.assembler.begin()
	messages := make(chan received)
	var reading sync.WaitGroup
	reading.Go(func() { receive(ctx, stub, request, messages) })
	defer func() {
		cancel()
		reading.Wait()
		w.outcomes.disconnected()
	}()
	// The copy may be stale already, or there is none, but a new stream is given its time.
	silence := time.NewTimer(patience)
	defer silence.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return false, w.ctx.Err()
		case <-w.staleness.C:
			w.becomeStale()
		case <-silence.C:
			// A server that hangs, or a proxy before it, would hold the stream open for ever.
			return true, status.Errorf(codes.Unavailable, "the server sent nothing for %v", patience)
		case next := <-messages:
			if errors.Is(next.err, io.EOF) {
				return false, status.Error(codes.Unavailable, "the server ended the stream")
			}
			if next.err != nil {
				return false, next.err
			}
			err := w.hear(stub, next.message)
			// Not before: what it took to handle the message was no silence.
			silence.Reset(patience)
			w.staleness.Reset(patience)
			if err != nil {
				w.assembler.token = ""
				w.options.log.Warn("started over", "error", err)
				return false, err
			}
		}
	}
}

// receive passes on what comes on a new stream, its end included, until ctx is done.
func receive(ctx context.Context, stub pb.ConfigServiceClient, request *pb.WatchRequest, messages chan<- received) {
	stream, err := stub.Watch(ctx, request)
	for {
		var next received
		if next.err = err; err == nil {
			next.message, next.err = stream.Recv()
		}
		select {
		case messages <- next:
		case <-ctx.Done():
			return
		}
		if next.err != nil {
			return
		}
	}
}

// hear handles a message. After an error the stream is of no more use.
func (w *Watch) hear(stub pb.ConfigServiceClient, message *pb.WatchResponse) error {
	if id := message.GetWatchId(); id != "" {
		w.options.log.Info("connected", "watch_id", id)
	}
	settles, err := w.assembler.take(message)
	if err != nil {
		return err
	}
	content := message.GetSnapshot() != nil || message.GetDelta() != nil
	if content && settles || message.GetHeartbeat() != nil {
		w.backoff.reset()
	}
	held := w.assembler.held
	w.outcomes.heard(stub, w.assembler.watchID, held)
	fresh := settles && w.state.Load().stale
	w.publish(func(state *watchState) {
		state.held = held
		state.settled = state.settled || settles
		state.stale = state.stale && !settles
		state.waiting = waitingFor(message)
	})
	if fresh {
		w.options.log.Info("fresh", "version", held.Version())
		w.options.onStale(false)
	}
	return nil
}

// waitingFor says, for a message that settles nothing, what the program still waits for.
func waitingFor(message *pb.WatchResponse) string {
	source := message.GetSourceStatus()
	if source == nil {
		return "the server is there, but has sent no whole version yet"
	}
	text := fmt.Sprintf("the server has nothing valid yet (%v)", source.GetState())
	if violations := source.GetViolations(); len(violations) > 0 {
		text += fmt.Sprintf(": %s: %s", violations[0].GetPath(), violations[0].GetMessage())
	}
	return text
}

func (w *Watch) becomeStale() {
	if state := w.state.Load(); state.stale || state.held == nil {
		return
	}
	w.publish(func(state *watchState) { state.stale = true })
	w.options.log.Warn("stale", "silence", missedHeartbeats*w.options.heartbeat)
	w.options.onStale(true)
}

// pause waits, and notices meanwhile if the copy becomes stale.
func (w *Watch) pause(delay time.Duration) {
	over := time.NewTimer(delay)
	defer over.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.staleness.C:
			w.becomeStale()
		case <-over.C:
			return
		}
	}
}

// codeName is the code of a status error as the API has it, such as NOT_FOUND.
func codeName(err error) string { return code.Code(status.Code(err)).String() }
