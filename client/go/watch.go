package confstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "confstream.dev/go/confstream/v1"
)

// Watch follows one source, over as many streams as it takes. It may be used by several goroutines at once.
type Watch struct {
	client  *Client
	options watchOptions
	request *pb.WatchRequest // of each stream, but for the token
	disk    *diskCopy        // nil: none

	ctx      context.Context // done when the watch is to end
	cancel   context.CancelFunc
	done     chan struct{} // closed when nothing of the watch runs any more
	own      sync.Map      // ids of the watch's goroutines that call the program
	state    atomic.Pointer[watchState]
	outcomes outcomeReporter

	// Of the goroutine in run.
	assembler assembler
	backoff   backoff
	staleness *time.Timer // when nothing has been heard for three heartbeats
}

// watchState is what a watch knows at one moment. It is not modified: another takes its place, and then next is closed.
type watchState struct {
	held    *Snapshot
	stale   bool
	settled bool   // the server has settled what is held, once at least
	waiting string // what has kept it from that
	ended   bool
	err     error
	next    chan struct{}
}

func newWatch(ctx context.Context, c *Client, source string, options []WatchOption) (*Watch, error) {
	if source == "" {
		return nil, errors.New("confstream: a source without a name")
	}
	o, err := newWatchOptions(options)
	if err != nil {
		return nil, err
	}
	o.log = o.log.With("source", source)
	w := &Watch{
		client:  c,
		options: o,
		request: &pb.WatchRequest{
			Source:            source,
			PathGlobs:         o.globs,
			Mode:              pb.WatchMode_WATCH_MODE_DELTA,
			HeartbeatInterval: durationpb.New(o.heartbeat),
			ClientId:          o.clientID,
			Labels:            o.labels,
		},
		done:      make(chan struct{}),
		outcomes:  newOutcomeReporter(),
		assembler: assembler{maxBytes: o.maxBytes},
		backoff:   backoff{firstBackoff},
	}
	if o.mode == Snapshots {
		w.request.Mode = pb.WatchMode_WATCH_MODE_SNAPSHOT
	}
	if o.minUpdateInterval > 0 {
		w.request.MinUpdateInterval = durationpb.New(o.minUpdateInterval)
	}
	if o.cacheDir != "" {
		if w.disk, err = newDiskCopy(o.cacheDir, source, o.globs); err != nil {
			return nil, err
		}
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w, nil
}

func (w *Watch) start() {
	state := &watchState{waiting: "the server has not answered yet", next: make(chan struct{})}
	if w.disk != nil {
		held, err := w.disk.read(w.request.GetSource(), w.options.maxBytes)
		if err != nil {
			w.options.log.Warn("the copy in the cache directory is left alone", "error", err)
		} else if held != nil {
			w.assembler.held, w.assembler.token = held, held.header.GetResumeToken()
			state.held, state.stale = held, true
		}
	}
	w.state.Store(state)
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		w.deliver(state.held)
	}()
	go func() {
		w.run()
		<-delivered
		w.cancel()
		w.client.forget(w)
		close(w.done)
	}()
}

// Wait returns the snapshot as soon as the server has settled it, by content or by word that the copy held is current;
// at once if it has before. If ctx's deadline passes first it returns the copy from the cache directory, if there is one
// ([Watch.Stale] is true then), else an error that is [context.DeadlineExceeded] and says what kept it waiting. It fails
// with [Watch.Err] if that ends the watch before, and with [ErrClosed] after Close.
func (w *Watch) Wait(ctx context.Context) (*Snapshot, error) {
	for {
		state := w.state.Load()
		switch {
		case state.settled:
			return state.held, nil
		case state.err != nil:
			return nil, state.err
		case state.ended:
			return nil, ErrClosed
		}
		select {
		case <-state.next:
		case <-ctx.Done():
			if state.held != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return state.held, nil
			}
			return nil, fmt.Errorf("confstream: waiting for source %q: %w: %s",
				w.request.GetSource(), ctx.Err(), state.waiting)
		}
	}
}

// Current returns the newest complete snapshot, or nil while there is none. It never blocks, and answers after Close,
// too.
func (w *Watch) Current() *Snapshot { return w.state.Load().held }

// Stale is true when nothing has been heard for three heartbeats, and while what is held is only the copy from the cache
// directory: until the server has settled it again. So it is once the watch has ended, by itself or not, if anything is
// held. The copy is kept, but may be out of date.
func (w *Watch) Stale() bool {
	state := w.state.Load()
	return state.held != nil && (state.stale || state.ended || w.ctx.Err() != nil)
}

// Changes goes over the changes, beginning with what is held, if anything, and ends when the watch does. The loop's body
// may take its time: it misses versions then, but never the newest. Each loop has its own changes. What the program makes
// of a version is not reported unless it calls Report.
func (w *Watch) Changes() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		var seen *Snapshot
		for {
			// Asked before the state is loaded: a watch that ends by itself publishes its last content and its error
			// first, and then is over. The other way round, what came between the two would be lost.
			over := w.ctx.Err() != nil
			state := w.state.Load()
			if over && state.err == nil {
				return
			}
			change, changed := changeTo(state.held, seen)
			seen = state.held
			switch {
			case changed:
				if !yield(change) {
					return
				}
			case state.ended:
				return
			default:
				select {
				case <-state.next:
				case <-w.ctx.Done(): // next may be closed, too
				}
			}
		}
	}
}

// Err is why the watch ended by itself, with a status code ([google.golang.org/grpc/status.Code]) of NotFound,
// InvalidArgument, OutOfRange, FailedPrecondition, PermissionDenied, Unauthenticated or Unimplemented. It is nil while the
// watch runs, and if it ended by Close or its context.
func (w *Watch) Err() error { return w.state.Load().err }

// Done is closed when the watch has ended, and nothing of it runs any more.
func (w *Watch) Done() <-chan struct{} { return w.done }

// Report tells the server what became of a snapshot of this watch: applied if cause is nil, else rejected because of it.
// A watch with [OnChange] does this by itself. A report that fails is tried again with the next message of the stream,
// and after a reconnection what is still held is reported to the new stream: the error says only that the server does not
// know yet. It is nil, too, if no stream is open, or the one that brought the snapshot is gone.
func (w *Watch) Report(ctx context.Context, snapshot *Snapshot, cause error) error {
	w.outcomes.decide(snapshot, cause)
	return w.outcomes.tell(ctx)
}

// Close ends the watch, and waits until nothing of it runs any more, a function of the program that it has called
// included; if it is called from such a function, it does not wait.
func (w *Watch) Close() {
	w.cancel()
	if _, own := w.own.Load(goroutineID()); !own {
		<-w.done
	}
}

// callsProgram notes that the calling goroutine calls functions of the program: Close must not wait for it there.
func (w *Watch) callsProgram() { w.own.Store(goroutineID(), true) }

// goroutineID is the number by which a stack trace names the calling goroutine. There is no other way to know on which
// one Close is called.
func goroutineID() string {
	trace := make([]byte, 64)
	trace = trace[:runtime.Stack(trace, false)] // "goroutine 18 [running]:..."
	return string(bytes.Fields(trace)[1])
}

// deliver has the program called with every change, keeps the copy on disk, and reports.
func (w *Watch) deliver(cached *Snapshot) {
	w.callsProgram()
	var seen *Snapshot
	if change, found := changeTo(cached, nil); found {
		// First, even if the server has settled another by now.
		w.apply(change)
		seen = cached
	}
	for w.ctx.Err() == nil {
		state := w.state.Load()
		if change, changed := changeTo(state.held, seen); changed {
			w.apply(change)
		}
		seen = state.held
		// Once for each message: what could not be told is told with the next one.
		if err := w.outcomes.tell(w.ctx); err != nil && w.ctx.Err() == nil {
			w.options.log.Warn("the outcome is not reported yet", "error", err)
		}
		if state.ended {
			return
		}
		select {
		case <-state.next:
		case <-w.ctx.Done():
		}
	}
}

func (w *Watch) apply(change Change) {
	if w.options.onChange != nil {
		err := w.options.onChange(change)
		w.outcomes.decide(change.New, err)
		if err != nil {
			w.options.log.Warn("rejected", "version", change.New.Version(), "error", err)
			return
		}
	}
	if w.disk != nil && !change.FromCache {
		if err := w.disk.write(change.New); err != nil {
			w.options.log.Warn("the cache directory cannot be written", "error", err)
		}
	}
}
