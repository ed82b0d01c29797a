package confstream

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	pb "confstream.dev/go/confstream/v1"
)

const (
	// The server's bound on a reason.
	mostReasonBytes = 1024
	reportTimeout   = 5 * time.Second
)

// outcomeReporter keeps what the server knows of outcomes true. A report belongs to a stream and is forgotten with it, so
// that what became of the content held is told again to a new one, and when its version moves on. Of decisions that
// could not be told the newest is kept.
type outcomeReporter struct {
	sending chan struct{} // holds an element while a report is being sent: one at a time

	mu       sync.Mutex
	stub     pb.ConfigServiceClient
	watchID  string    // of the stream that is open; empty: none
	held     *Snapshot // by the watch
	decision *decision
}

// decision is what became of a snapshot.
type decision struct {
	snapshot *Snapshot
	rejected bool
	reason   string
	told     *Snapshot // as which the server knows of it; nil: it does not
}

func newOutcomeReporter() outcomeReporter { return outcomeReporter{sending: make(chan struct{}, 1)} }

// heard takes note of where a message has left the watch.
func (r *outcomeReporter) heard(stub pb.ConfigServiceClient, watchID string, held *Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stub, r.watchID, r.held = stub, watchID, held
}

func (r *outcomeReporter) disconnected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stub, r.watchID = nil, ""
}

// decide remembers what became of a snapshot.
func (r *outcomeReporter) decide(snapshot *Snapshot, cause error) {
	made := &decision{snapshot: snapshot, rejected: cause != nil}
	if cause != nil {
		made.reason = reasonText(cause.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decision = made
}

// tell reports what the server does not know yet, if the open stream has it.
func (r *outcomeReporter) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	select {
	case r.sending <- struct{}{}:
		defer func() { <-r.sending }()
	case <-ctx.Done():
		return ctx.Err()
	}
	stub, made, as := r.due()
	if as == nil {
		return nil
	}
	request := &pb.ReportOutcomeRequest{
		WatchId: as.watchID, Version: as.Version(), Outcome: pb.Outcome_OUTCOME_APPLIED, Reason: made.reason,
	}
	if made.rejected {
		request.Outcome = pb.Outcome_OUTCOME_REJECTED
	}
	if _, err := stub.ReportOutcome(ctx, request); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	made.told = as
	return nil
}

// due is the decision to be told, and as that of which snapshot; nil: there is none.
func (r *outcomeReporter) due() (pb.ConfigServiceClient, *decision, *Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.decision == nil || r.watchID == "" {
		return nil, nil, nil
	}
	as := r.decision.snapshot
	if r.held != nil && r.held.viewDigest == as.viewDigest {
		as = r.held // the same content, wherever it stands by now
	}
	if as.watchID != r.watchID || as == r.decision.told {
		return nil, nil, nil
	}
	return r.stub, r.decision, as
}

// reasonText is the text as a reason can be: UTF-8, and not too long.
func reasonText(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= mostReasonBytes {
		return text
	}
	end := mostReasonBytes
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
