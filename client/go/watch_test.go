package confstream

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "confstream.dev/go/confstream/v1"
)

var (
	one        = version{"e", 1, map[string]string{"a": "one", "b": "same"}}
	two        = version{"e", 2, map[string]string{"a": "two", "b": "same", "c": "new"}}
	three      = version{"e", 3, map[string]string{"b": "three"}}
	sameAsTwo  = version{"e", 7, two.files}
	otherEpoch = version{"f", 1, map[string]string{"a": "other"}}
)

const applied, rejected = pb.Outcome_OUTCOME_APPLIED, pb.Outcome_OUTCOME_REJECTED

var unavailable = status.Error(codes.Unavailable, "for the test")

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// bubble runs a test in its own time, and fails it if a goroutine is left.
func bubble(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newServer(t)) })
}

func TestWaitReturnsTheFirstContent(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch()
		if w.Current() != nil || w.Stale() {
			t.Error("it has something before it asked")
		}
		st := s.expect("")
		st.send(waiting())
		go func() {
			time.Sleep(time.Second)
			st.send(one.snapshot())
		}()
		begin := time.Now()
		got, err := w.Wait(within(t, soon))
		if err != nil {
			t.Fatal(err)
		}
		expectFiles(t, got, one)
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("it waited %v", waited)
		}
		if got, err = w.Wait(within(t, 0)); err != nil || got != w.Current() {
			t.Errorf("a second time it returns %v, %v", got, err)
		}
	})
}

func TestWaitFailsAtItsDeadlineAndSaysWhy(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(s *server)
		want    string
	}{
		"no answer":   {func(s *server) {}, "has not answered"},
		"no content":  {func(s *server) { s.accept().send(waiting()) }, "nothing valid yet (SOURCE_STATE_WAITING): a.yaml: it is no YAML"},
		"no server":   {func(s *server) { s.set(func() { s.away = true }) }, "the server is away"},
		"half of one": {func(s *server) { s.accept().send(two.fragments(2)[0]) }, "no whole version"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				client := s.client()
				if name == "no server" {
					test.prepare(s)
				}
				w, _ := client.Watch(t.Context(), "demo")
				if name != "no server" {
					test.prepare(s)
				}
				got, err := w.Wait(within(t, soon))
				if got != nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, %v", got, err)
				}
			})
		})
	}
}

func TestWaitEndsWithItsContextAndWithTheWatch(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := w.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		time.AfterFunc(time.Second, w.Close)
		if _, err := w.Wait(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
		w = s.watch()
		s.accept()
		s.accept().end(status.Error(codes.NotFound, "there is no demo"))
		_, err := w.Wait(t.Context())
		if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "there is no demo") {
			t.Errorf("got %v", err)
		}
	})
}

func TestChangesHaveOldAndNewInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		got, option := changes()
		w := s.watch(option)
		st := s.accept()
		st.send(one.snapshot())
		first := expectChange(t, got, one)
		if first.Old != nil || first.FromCache {
			t.Errorf("the first change is %+v", first)
		}
		st.send(two.deltaFrom(one))
		second := expectChange(t, got, two)
		expectFiles(t, second.Old, one)
		st.send(three.deltaFrom(two))
		expectFiles(t, expectChange(t, got, three).Old, two)
		expectFiles(t, w.Current(), three)
		expectFiles(t, first.New, one) // which nothing has changed
	})
}

func TestSlowCallbackMissesVersionsButNotTheNewest(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		var calls []int64
		var running atomic.Int32
		done := make(chan struct{})
		w := s.watch(OnChange(func(change Change) error {
			if running.Add(1) != 1 {
				t.Error("two calls at once")
			}
			time.Sleep(time.Second)
			running.Add(-1)
			calls = append(calls, change.New.Version())
			if change.New.Version() == 1000 {
				close(done)
			}
			return nil
		}))
		st := s.accept()
		for n := int64(1); n <= 1000; n++ {
			v := one
			v.number, v.files = n, map[string]string{"a": strings.Repeat("x", int(n))}
			st.send(v.snapshot())
		}
		await(t, "version 1000", done)
		if len(calls) > 3 {
			t.Errorf("more than one change waited: %v", calls)
		}
		if w.Current().Version() != 1000 {
			t.Error("it does not have the newest")
		}
	})
}

func TestEqualContentIsNoChangeButMovesOn(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		got, option := changes()
		w := s.watch(option)
		st := s.accept()
		st.send(two.snapshot())
		expectChange(t, got, two)
		st.send(sameAsTwo.snapshot())
		expectNothing(t, got)
		expectFiles(t, w.Current(), sameAsTwo)
		again := sameAsTwo
		again.number++
		st.send(again.deltaFrom(sameAsTwo))
		expectNothing(t, got)
		expectFiles(t, w.Current(), again)
		st.end(unavailable)
		st = s.expect(again.token())
		again.epoch, again.number = "new", 1
		st.send(again.heartbeat())
		expectNothing(t, got)
		expectFiles(t, w.Current(), again)
		next := three
		next.epoch, next.number = "new", 2
		st.send(next.deltaFrom(again))
		if change := expectChange(t, got, next); change.Old.Version() != 1 {
			t.Errorf("the old version is %d", change.Old.Version())
		}
	})
}

func TestLoopsOverChangesAreIndependent(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch()
		st := s.accept()
		st.send(one.snapshot())
		quick, slow := make(chan Change), make(chan Change)
		var loops sync.WaitGroup
		for _, to := range []chan Change{quick, slow} {
			loops.Go(func() {
				for change := range w.Changes() {
					to <- change
				}
				close(to)
			})
		}
		if first := expectChange(t, quick, one); first.Old != nil {
			t.Error("the first change has something old")
		}
		synctest.Wait() // until the other loop has it, too
		st.send(two.snapshot())
		expectFiles(t, expectChange(t, quick, two).Old, one)
		st.send(three.snapshot())
		expectChange(t, quick, three)
		expectChange(t, slow, one)
		expectFiles(t, expectChange(t, slow, three).Old, one)
		for change := range w.Changes() {
			expectFiles(t, change.New, three)
			break
		}
		w.Close()
		loops.Wait()
		if w.Err() != nil {
			t.Error(w.Err())
		}
	})
}

func TestLoopGetsTheLastContentBeforeTheWatchEndsByItself(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch()
		st := s.accept()
		st.send(one.snapshot())
		st.end(status.Error(codes.PermissionDenied, "no more"))
		<-w.Done()
		var got []*Snapshot
		for change := range w.Changes() {
			got = append(got, change.New)
		}
		if len(got) != 1 || status.Code(w.Err()) != codes.PermissionDenied {
			t.Errorf("got %d changes and %v", len(got), w.Err())
		}
	})
}

// overtakenContext has something happen just before one of its methods answers.
type overtakenContext struct {
	context.Context
	method   string
	overtake func()
}

func (c overtakenContext) Err() error {
	if c.method == "Err" {
		c.overtake()
	}
	return c.Context.Err()
}

func (c overtakenContext) Done() <-chan struct{} {
	if c.method == "Done" {
		c.overtake()
	}
	return c.Context.Done()
}

func TestLoopGetsTheLastContentWhereverTheEndOvertakesIt(t *testing.T) {
	for n := range 200 { // of two that are ready, a select takes any
		method := []string{"Err", "Done"}[n%2]
		ctx, cancel := context.WithCancel(t.Context())
		w := &Watch{}
		w.state.Store(&watchState{held: &Snapshot{viewDigest: "one"}, next: make(chan struct{})})
		var got []string
		w.ctx = overtakenContext{ctx, method, func() {
			if len(got) == 0 || w.Err() != nil {
				return
			}
			w.publish(func(state *watchState) { state.held = &Snapshot{viewDigest: "two"} })
			w.publish(func(state *watchState) { state.ended, state.err = true, unavailable })
			cancel()
		}}
		for change := range w.Changes() {
			got = append(got, change.New.ViewDigest())
		}
		if !slices.Equal(got, []string{"one", "two"}) {
			t.Fatalf("the end came before %s answered: the loop got %v", method, got)
		}
	}
}

func TestStreamThatEndsUnaskedIsResumed(t *testing.T) {
	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		fatal := false
		switch code {
		case codes.NotFound, codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition, codes.PermissionDenied,
			codes.Unauthenticated, codes.Unimplemented:
			fatal = true
		}
		t.Run(code.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *server) {
				w := s.watch()
				st := s.accept()
				st.send(one.snapshot())
				st.end(status.Error(code, "for the test"))
				if !fatal {
					s.expect(one.token()).send(two.snapshot())
					time.Sleep(time.Second)
					expectFiles(t, w.Current(), two)
					return
				}
				await(t, "the end of the watch", w.Done())
				if status.Code(w.Err()) != code {
					t.Errorf("it ended with %v", w.Err())
				}
				expectFiles(t, w.Current(), one)
				expectNothing(t, s.streams)
			})
		})
	}
}

func TestBackoffIsRandomDoublesAndStartsOver(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		type try struct {
			at      time.Time
			retryIn time.Duration
		}
		tries := make(chan try, 1)
		s.watch(OnDisconnect(func(_ error, retryIn time.Duration) { tries <- try{time.Now(), retryIn} }))
		st := s.accept()
		bound := 100 * time.Millisecond
		var shares []float64
		for range 12 {
			st.end(unavailable)
			failed := await(t, "a failure", tries)
			st = s.accept()
			if waited := st.opened.Sub(failed.at); waited != failed.retryIn {
				t.Errorf("it said %v and waited %v", failed.retryIn, waited)
			}
			if failed.retryIn > bound {
				t.Errorf("it waited %v, and %v is the bound", failed.retryIn, bound)
			}
			shares = append(shares, float64(failed.retryIn)/float64(bound))
			bound = min(2*bound, 10*time.Second)
		}
		least, most := shares[0], shares[0]
		for _, share := range shares {
			least, most = min(least, share), max(most, share)
		}
		if most-least < 0.2 { // by chance: once in 10^7 times
			t.Errorf("the times are not random: %v", shares)
		}
		for _, message := range []*pb.WatchResponse{one.snapshot(), one.heartbeat()} {
			st.send(message)
			st.end(unavailable)
			if failed := await(t, "a failure", tries); failed.retryIn > 100*time.Millisecond {
				t.Errorf("it did not start over: %v", failed.retryIn)
			}
			st = s.accept()
			st.end(unavailable)
			await(t, "a failure", tries)
			st = s.accept()
		}
		// A status is nothing that a stream has brought.
		for range 12 {
			st.send(waiting())
			st.end(unavailable)
			await(t, "a failure", tries)
			st = s.accept()
		}
		var longest time.Duration
		for range 10 {
			st.send(waiting())
			st.end(unavailable)
			longest = max(longest, await(t, "a failure", tries).retryIn)
			st = s.accept()
		}
		if longest < time.Second { // by chance: once in 10^10 times
			t.Errorf("a status has the backoff start over: %v", longest)
		}
	})
}

func TestServerMayAskForALongerWait(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		delays := make(chan time.Duration, 1)
		s.watch(OnDisconnect(func(_ error, retryIn time.Duration) { delays <- retryIn }))
		for asked, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Hour: time.Minute} {
			st := s.accept()
			st.send(one.snapshot())
			failure, _ := status.New(codes.Unavailable, "draining").WithDetails(
				&errdetails.RetryInfo{RetryDelay: durationpb.New(asked)})
			st.end(failure.Err())
			if got := await(t, "a failure", delays); got != want {
				t.Errorf("asked for %v it waits %v", asked, got)
			}
		}
	})
}

func TestServerThatIsBackIsFoundByTheNextTry(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		delays := make(chan time.Duration, 1000)
		w := s.watch(OnDisconnect(func(_ error, retryIn time.Duration) { delays <- retryIn }))
		st := s.accept()
		st.send(one.snapshot())
		synctest.Wait()
		s.set(func() { s.away = true })
		s.cut()
		time.Sleep(time.Minute)
		expectFiles(t, w.Current(), one)
		s.set(func() { s.away = false; s.dialed = 0 })
		begin := time.Now()
		st = s.expect(one.token())
		if took := st.opened.Sub(begin); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if dialed := s.dials(); dialed != 1 {
			t.Errorf("it dialed %d times", dialed)
		}
		// Each try was one of the watch: there were no others between.
		s.set(func() { s.away = true; s.dialed = 0 })
		for len(delays) > 0 {
			<-delays
		}
		s.cut()
		time.Sleep(5 * time.Minute)
		if tries, dialed := len(delays), s.dials(); dialed < tries-1 || dialed > tries {
			t.Errorf("%d streams were tried, and %d connections", tries, dialed)
		}
	})
}

func TestDeadConnectionIsFoundByPings(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch(WithHeartbeat(time.Hour))
		s.accept().send(one.snapshot())
		synctest.Wait()
		begin := time.Now()
		s.set(func() { s.silent = true })
		time.Sleep(time.Second)
		s.set(func() { s.away = true })
		time.Sleep(time.Minute)
		s.set(func() { s.silent, s.away = false, false })
		s.expect(one.token())
		if took := time.Since(begin); took > 75*time.Second || w.Stale() {
			t.Errorf("it took %v, stale: %v", took, w.Stale())
		}
	})
}

func TestFragmentsCountWhenTheLastHasCome(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		got, option := changes()
		w := s.watch(option)
		st := s.accept()
		st.send(one.snapshot())
		expectChange(t, got, one)
		fragments := two.fragments(2)
		for n := range fragments[1:] {
			st.send(fragments[:n]...)
			st.end(unavailable)
			st = s.expect(one.token())
		}
		expectNothing(t, got)
		expectFiles(t, w.Current(), one)
		st.send(fragments...)
		expectChange(t, got, two)
		st.end(nil)
		s.expect(two.token())
	})
}

func TestSilenceMakesTheCopyStaleOnceAndItsStreamIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		told := make(chan bool, 10)
		w := s.watch(WithHeartbeat(10*time.Second), OnStale(func(stale bool) { told <- stale }))
		st := s.accept()
		for _, message := range []*pb.WatchResponse{one.snapshot(), one.heartbeat(), waiting()} {
			time.Sleep(29 * time.Second)
			st.send(message)
			synctest.Wait()
		}
		heard := time.Now()
		if !await(t, "staleness", told) || !w.Stale() {
			t.Error("it is not stale")
		}
		if silence := time.Since(heard); silence != 30*time.Second {
			t.Errorf("it was stale after %v", silence)
		}
		st.expectGone()
		expectFiles(t, w.Current(), one)
		for range 3 { // which are silent, too
			st = s.expect(one.token())
			st.expectGone()
		}
		st = s.expect(one.token())
		st.send(waiting()) // which settles nothing
		st.expectGone()
		st = s.expect(one.token())
		if !w.Stale() || len(told) != 0 {
			t.Errorf("stale: %v, told %d times more", w.Stale(), len(told))
		}
		st.send(one.heartbeat())
		if await(t, "freshness", told) || w.Stale() {
			t.Error("it is still stale")
		}
	})
}

func TestCopyBecomesStaleWhileTheServerIsAwayAndFreshWithContent(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		told := make(chan bool, 10)
		w := s.watch(OnStale(func(stale bool) { told <- stale }))
		s.accept().send(one.snapshot())
		synctest.Wait()
		heard := time.Now()
		s.set(func() { s.away = true })
		s.cut()
		if !await(t, "staleness", told) || time.Since(heard) != 90*time.Second {
			t.Errorf("it was stale after %v", time.Since(heard))
		}
		time.Sleep(10 * time.Minute)
		if len(told) != 0 {
			t.Error("it was told again")
		}
		expectFiles(t, w.Current(), one)
		s.set(func() { s.away = false })
		s.expect(one.token()).send(two.snapshot())
		if await(t, "freshness", told) || w.Stale() {
			t.Error("it is still stale")
		}
	})
}

func TestOneSilentSourceCostsAnotherNothing(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		client := s.client()
		if _, err := client.Watch(t.Context(), "silent"); err != nil {
			t.Fatal(err)
		}
		silent := s.accept()
		if _, err := client.Watch(t.Context(), "demo"); err != nil {
			t.Fatal(err)
		}
		st := s.accept()
		st.send(one.snapshot())
		go func() {
			for t.Context().Err() == nil {
				st.send(one.heartbeat())
				select {
				case <-t.Context().Done():
				case <-time.After(30 * time.Second):
				}
			}
		}()
		silent.expectGone()
		again := s.accept()
		if again.request.GetSource() != "silent" {
			t.Error("the other stream came again")
		}
		select {
		case <-st.ended:
			t.Error("the other stream is gone")
		case <-time.After(5 * time.Minute):
		}
		if dialed := s.dials(); dialed > 6 {
			t.Errorf("%d connections were made", dialed)
		}
	})
}

func TestWhatContradictsItselfStartsOver(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		got, option := changes()
		w := s.watch(option)
		st := s.accept()
		st.send(one.snapshot())
		expectChange(t, got, one)
		lie := two.snapshot()
		lie.GetSnapshot().ViewDigest = one.digest()
		st.send(lie)
		st.expectGone()
		st = s.expect("")
		expectNothing(t, got)
		expectFiles(t, w.Current(), one)
		st.send(two.snapshot())
		expectChange(t, got, two)
	})
}

func TestWhatIsNotKnownIsIgnoredButForItsHeader(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		got, option := changes()
		w := s.watch(option)
		st := s.accept()
		newer := two.snapshot()
		newer.Reason = 99
		newer.Header.Origin = 77
		newer.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 100, protowire.BytesType), "later"))
		st.send(newer)
		expectChange(t, got, two)
		st.send(&pb.WatchResponse{Header: sameAsTwo.header(), Event: &pb.WatchResponse_SourceStatus{
			SourceStatus: &pb.SourceStatus{State: 55, ChangeDetection: 44},
		}})
		event := &pb.WatchResponse{Header: sameAsTwo.header()}
		event.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 101, protowire.BytesType), "event"))
		st.send(event)
		expectNothing(t, got)
		expectFiles(t, w.Current(), sameAsTwo)
		st.end(unavailable)
		s.expect(sameAsTwo.token())
	})
}

func TestOutcomesAreReported(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		s.watch(OnChange(func(change Change) error {
			if change.New.Version() == 2 {
				return errors.New("\xff" + strings.Repeat("ü", 2000))
			}
			return nil
		}))
		st := s.accept()
		st.send(one.snapshot())
		if report := s.expectReport(st, one, applied); report.GetReason() != "" {
			t.Errorf("the reason is %q", report.GetReason())
		}
		st.send(two.deltaFrom(one))
		reason := s.expectReport(st, two, rejected).GetReason()
		if reason != "?"+strings.Repeat("ü", 511) || !utf8.ValidString(reason) {
			t.Errorf("the reason is %q", reason)
		}
		st.send(two.heartbeat())
		s.expectNoReport()

		// What is held is told to a new stream, once that has settled it.
		st.end(unavailable)
		st = s.accept()
		st.send(waiting())
		s.expectNoReport()
		st.send(two.heartbeat())
		s.expectReport(st, two, rejected)
		st.send(sameAsTwo.heartbeat())
		s.expectReport(st, sameAsTwo, rejected)
		st.send(three.snapshot())
		st.expectGone() // since 3 is below 7
		st = s.accept()
		st.send(otherEpoch.snapshot())
		s.expectReport(st, otherEpoch, applied)
	})
}

func TestReportThatFailsIsTriedAgainWithTheNextMessage(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		_, option := changes()
		s.watch(option)
		st := s.accept()
		s.set(func() { s.reporter = unavailable })
		st.send(one.snapshot())
		s.expectReport(st, one, applied)
		s.expectNoReport()
		st.send(one.heartbeat())
		s.expectReport(st, one, applied)
		synctest.Wait() // until it is answered
		s.set(func() { s.reporter = nil })
		st.send(one.heartbeat())
		s.expectReport(st, one, applied)
		st.send(one.heartbeat())
		s.expectNoReport()
	})
}

func TestEachVersionThatTheCallbackHadIsReported(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		got := make(chan Change)
		s.watch(OnChange(func(change Change) error {
			got <- change
			return nil
		}))
		st := s.accept()
		st.send(one.snapshot())
		synctest.Wait()
		st.send(two.snapshot(), three.snapshot())
		synctest.Wait()
		change := expectChange(t, got, one)
		expectFiles(t, change.New, one)
		expectChange(t, got, three)
		s.expectReport(st, one, applied)
		s.expectReport(st, three, applied)
		s.expectNoReport()
	})
}

func TestOutcomeOfWhatAnOlderStreamBroughtIsNotReportedToANewOne(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		release := make(chan struct{})
		s.watch(OnChange(func(change Change) error {
			if change.New.Version() == 1 {
				<-release
			}
			return nil
		}))
		st := s.accept()
		st.send(one.snapshot())
		st.end(unavailable)
		st = s.accept()
		st.send(two.snapshot())
		synctest.Wait()
		close(release)
		s.expectReport(st, two, applied)
		s.expectNoReport()
	})
}

func TestWithoutACallbackOnlyTheProgramReports(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch()
		st := s.accept()
		st.send(one.snapshot())
		s.expectNoReport()
		if err := w.Report(t.Context(), w.Current(), nil); err != nil {
			t.Error(err)
		}
		s.expectReport(st, one, applied)
		s.set(func() { s.reporter = unavailable })
		if err := w.Report(t.Context(), w.Current(), errors.New("no")); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
		s.expectReport(st, one, rejected)
		s.set(func() { s.reporter = nil })
		st.send(one.heartbeat())
		if report := s.expectReport(st, one, rejected); report.GetReason() != "no" {
			t.Errorf("the reason is %q", report.GetReason())
		}
		st.end(unavailable)
		st = s.accept()
		st.send(one.heartbeat())
		s.expectReport(st, one, rejected)
	})
}

func TestTooLargeVersionIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch(WithMaxBytes(8))
		st := s.accept()
		st.send(one.snapshot()) // 7 bytes
		large := version{"e", 2, map[string]string{"a": "123456789"}}
		st.send(large.fragments(1)[0])
		st.expectGone() // at once: the file says how large it is
		st = s.expect("")
		st.send(one.snapshot())
		grown := version{"e", 2, map[string]string{"a": "one", "b": "same", "c": "12"}}
		st.send(grown.deltaFrom(one))
		st.expectGone()
		expectFiles(t, w.Current(), one)
		s.expect("").send(three.snapshot())
		time.Sleep(time.Second)
		expectFiles(t, w.Current(), three)
	})
}

func TestMessageThatGRPCDoesNotTakeIsAskedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		reasons := make(chan error, 1)
		w := s.watch(OnDisconnect(func(reason error, _ time.Duration) { reasons <- reason }))
		st := s.accept()
		large := version{"e", 1, map[string]string{"a": strings.Repeat("x", 5<<20)}}
		whole := large.snapshot()
		whole.GetSnapshot().Files = large.parts([]string{"a"}, 5<<20)
		st.send(whole)
		synctest.Wait()
		expectFiles(t, w.Current(), large)
		st.send(&pb.WatchResponse{WatchId: strings.Repeat("x", 64<<20)})
		if reason := await(t, "the end of the stream", reasons); status.Code(reason) != codes.ResourceExhausted {
			t.Errorf("it ended with %v", reason)
		}
		s.expect(large.token())
	})
}

func TestCloseEndsTheStreamAndKeepsTheCopy(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch()
		st := s.accept()
		st.send(one.snapshot())
		w.Wait(within(t, soon))
		w.Close()
		st.expectGone()
		expectFiles(t, w.Current(), one)
		if w.Err() != nil {
			t.Error(w.Err())
		}
		w.Close() // again
	})
}

func TestCloseDoesNotWaitForTheServer(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		for name, prepare := range map[string]func(){
			"no answer": func() {},
			"silent":    func() { s.silent = true },
			"away":      func() { s.away = true },
		} {
			s.set(func() { s.silent, s.away = false, false })
			s.set(prepare)
			w := s.watch()
			time.Sleep(5 * time.Second)
			begin := time.Now()
			if w.Close(); time.Now() != begin {
				t.Errorf("%s: it took %v", name, time.Since(begin))
			}
		}
	})
}

func TestCloseWaitsForTheCallback(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		begun := make(chan struct{})
		var finished atomic.Bool
		w := s.watch(OnChange(func(Change) error {
			close(begun)
			time.Sleep(time.Minute)
			finished.Store(true)
			return nil
		}))
		s.accept().send(one.snapshot(), two.snapshot())
		await(t, "the callback", begun)
		w.Close()
		if !finished.Load() {
			t.Error("the callback still runs")
		}
	})
}

func TestCloseMayBeCalledByWhatTheWatchCalls(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		client := s.client()
		for _, option := range []func(closing func()) WatchOption{
			func(closing func()) WatchOption { return OnChange(func(Change) error { closing(); return nil }) },
			func(closing func()) WatchOption { return OnStale(func(bool) { closing() }) },
			func(closing func()) WatchOption { return OnDisconnect(func(error, time.Duration) { closing() }) },
		} {
			var w *Watch
			closed := make(chan struct{})
			w, _ = client.Watch(t.Context(), "demo", option(func() { w.Close(); close(closed) }))
			st := s.accept()
			st.send(one.snapshot())
			time.Sleep(100 * time.Second)
			st.end(unavailable)
			await(t, "the return of Close", closed)
			await(t, "the end", w.Done())
			for len(s.streams) > 0 {
				<-s.streams
			}
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		ctx, cancel := context.WithCancel(t.Context())
		w, _ := s.client().Watch(ctx, "demo")
		st := s.accept()
		cancel()
		await(t, "the end", w.Done())
		st.expectGone()
		if w.Err() != nil {
			t.Error(w.Err())
		}
	})
}

func TestClosedClientHasNoWatches(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		client := s.client()
		w, _ := client.Watch(t.Context(), "demo")
		s.accept()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		await(t, "the end", w.Done())
		if _, err := client.Watch(t.Context(), "demo"); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRequestHasTheOptions(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		s.watch()
		request := s.accept().request
		if request.GetSource() != "demo" || len(request.GetPathGlobs()) != 0 || request.GetMode() != pb.WatchMode_WATCH_MODE_DELTA ||
			request.GetHeartbeatInterval().AsDuration() != 30*time.Second || request.GetMinUpdateInterval() != nil ||
			request.GetClientId() != "go.test" || len(request.GetLabels()) != 0 || request.GetEveryVersion() || request.GetUntilInSync() {
			t.Errorf("by default it is %v", request)
		}
		s.watch(WithGlobs("*.yaml", "b"), WithMode(Snapshots), WithHeartbeat(5*time.Second),
			WithMinUpdateInterval(time.Minute), WithClientID("me"), WithLabels(map[string]string{"pod": "p"}))
		request = s.accept().request
		if len(request.GetPathGlobs()) != 2 || request.GetMode() != pb.WatchMode_WATCH_MODE_SNAPSHOT ||
			request.GetHeartbeatInterval().AsDuration() != 5*time.Second ||
			request.GetMinUpdateInterval().AsDuration() != time.Minute ||
			request.GetClientId() != "me" || request.GetLabels()["pod"] != "p" {
			t.Errorf("it is %v", request)
		}
	})
}

func TestWrongOptionsAreRefused(t *testing.T) {
	client, err := Dial("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, option := range map[string]WatchOption{
		"heartbeat too short": WithHeartbeat(time.Millisecond),
		"heartbeat too long":  WithHeartbeat(2 * time.Hour),
		"interval below zero": WithMinUpdateInterval(-1),
		"no bytes":            WithMaxBytes(0),
		"no such mode":        WithMode(7),
	} {
		if _, err := client.Watch(t.Context(), "demo", option); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if _, err := client.Watch(t.Context(), ""); err == nil {
		t.Error("a source without a name is taken")
	}
	if _, err := client.Watch(t.Context(), "a/b", WithCacheDir(t.TempDir())); err == nil {
		t.Error("a file outside of the cache directory is taken")
	}
}

func TestLogHasWhatHappens(t *testing.T) {
	bubble(t, func(t *testing.T, s *server) {
		var text bytes.Buffer
		w := s.watch(WithLogger(slog.New(slog.NewTextHandler(&text, nil))), WithCacheDir("/dev/null/x"),
			OnChange(func(change Change) error {
				if change.New.Version() == 2 {
					return errors.New("too new")
				}
				return nil
			}))
		st := s.accept()
		st.send(one.snapshot())
		s.expectReport(st, one, applied)
		s.set(func() { s.reporter = unavailable })
		st.send(two.snapshot())
		s.expectReport(st, two, rejected)
		lie := three.snapshot()
		lie.GetSnapshot().ViewDigest = one.digest()
		st.send(lie)
		s.accept()
		time.Sleep(100 * time.Second)
		st = s.accept()
		st.send(three.snapshot())
		time.Sleep(time.Second)
		st.end(status.Error(codes.NotFound, "gone"))
		<-w.Done()
		for _, want := range []string{
			"level=INFO msg=connected source=demo watch_id=stream-1",
			`level=WARN msg="the copy in the cache directory is left alone" source=demo error=`,
			`level=WARN msg="the cache directory cannot be written" source=demo error=`,
			`level=WARN msg=rejected source=demo version=2 error="too new"`,
			`level=WARN msg="the outcome is not reported yet" source=demo error=`,
			`level=WARN msg="started over" source=demo error=`,
			"level=WARN msg=disconnected source=demo code=DATA_LOSS error=",
			" retry_in=",
			"level=WARN msg=stale source=demo silence=1m30s",
			"level=INFO msg=fresh source=demo version=3",
			"level=ERROR msg=ended source=demo code=NOT_FOUND error=",
		} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("there is no %s in\n%s", want, text.String())
			}
		}
	})
}
