package confstream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "confstream.dev/go/confstream/v1"
)

// printf ” | sha256sum; printf 'a*\nb*\n' | sha256sum
const allFiles, someFiles = "demo.e3b0c44298fc1c14.snapshot", "demo.885606edf2c0e7ee.snapshot"

// writeCopy is as a client in another language would have written it.
func writeCopy(t *testing.T, directory string, message *pb.WatchResponse) {
	t.Helper()
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(directory, allFiles), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// expectCopy is that there is nothing but this file, and that it is of the version.
func expectCopy(t *testing.T, directory, name string, v version) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("there is %v, %v", entries, err)
	}
	if info, _ := entries[0].Info(); info.Mode() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	data, err := os.ReadFile(filepath.Join(directory, name))
	if err != nil {
		t.Fatal(err)
	}
	copied := new(pb.WatchResponse)
	if err := proto.Unmarshal(data, copied); err != nil {
		t.Fatal(err)
	}
	want := &pb.WatchResponse{Header: v.header(), Event: v.snapshot().GetEvent()}
	if !proto.Equal(copied, want) {
		t.Errorf("it is %v, not %v", copied, want)
	}
}

func TestLastGoodSnapshotIsKeptOnDisk(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "made", "if need be")
	bubble(t, func(t *testing.T, s *server) {
		s.watch(WithCacheDir(directory), OnChange(func(change Change) error {
			if change.New.Version() == 3 {
				return errors.New("bad")
			}
			return nil
		}))
		st := s.accept()
		st.send(one.snapshot())
		s.expectReport(st, one, applied)
		expectCopy(t, directory, allFiles, one)
		st.send(two.deltaFrom(one))
		s.expectReport(st, two, applied)
		expectCopy(t, directory, allFiles, two)
		st.send(three.snapshot())
		s.expectReport(st, three, rejected)
		expectCopy(t, directory, allFiles, two)
	})
}

func TestCopyIsNotWrittenBeforeTheCallbackHasReturned(t *testing.T) {
	directory := t.TempDir()
	bubble(t, func(t *testing.T, s *server) {
		release := make(chan struct{})
		s.watch(WithCacheDir(directory), OnChange(func(Change) error { <-release; return nil }))
		st := s.accept()
		st.send(one.snapshot())
		time.Sleep(time.Second)
		if entries, _ := os.ReadDir(directory); len(entries) != 0 {
			t.Errorf("there is %v", entries)
		}
		close(release)
		s.expectReport(st, one, applied)
		expectCopy(t, directory, allFiles, one)
	})
}

func TestWithoutACallbackTheCopyIsWrittenAtOnce(t *testing.T) {
	directory := t.TempDir()
	bubble(t, func(t *testing.T, s *server) {
		s.watch(WithCacheDir(directory), WithGlobs("b*", "a*", "b*"))
		s.accept().send(one.snapshot())
		time.Sleep(time.Second)
		expectCopy(t, directory, someFiles, one)
	})
}

func TestProgramStartsWithTheCopyWhileTheServerIsAway(t *testing.T) {
	directory := t.TempDir()
	writeCopy(t, directory, two.snapshot())
	bubble(t, func(t *testing.T, s *server) {
		s.set(func() { s.away = true })
		got, option := changes()
		told := make(chan bool, 10)
		w := s.watch(WithCacheDir(directory), option, OnStale(func(stale bool) { told <- stale }))
		expectFiles(t, w.Current(), two)
		if !await(t, "staleness", told) {
			t.Error("told that it is fresh")
		}
		if change := expectChange(t, got, two); !change.FromCache || change.Old != nil {
			t.Errorf("the change is %+v", change)
		}
		begin := time.Now()
		held, err := w.Wait(within(t, 5*time.Second))
		if err != nil || time.Since(begin) != 5*time.Second || !w.Stale() {
			t.Fatalf("got %v after %v, stale: %v", err, time.Since(begin), w.Stale())
		}
		expectFiles(t, held, two)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		s.set(func() { s.away = false })
		st := s.expect(two.token())
		if len(s.reports) != 0 {
			t.Error("it is reported already")
		}
		st.send(two.heartbeat())
		s.expectReport(st, two, applied)
		if held, err := w.Wait(within(t, 0)); err != nil || w.Stale() || await(t, "freshness", told) {
			t.Errorf("%v, %v, stale: %v", held, err, w.Stale())
		}
		st.send(three.deltaFrom(two))
		change := expectChange(t, got, three)
		expectFiles(t, change.Old, two)
		if change.FromCache || len(told) != 0 {
			t.Errorf("the change is %+v; told %d times", change, len(told))
		}
	})
}

func TestWaitWaitsForTheServerThoughThereIsACopy(t *testing.T) {
	directory := t.TempDir()
	writeCopy(t, directory, two.snapshot())
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch(WithCacheDir(directory))
		st := s.expect(two.token())
		time.AfterFunc(time.Second, func() { st.send(otherEpoch.snapshot()) })
		held, err := w.Wait(within(t, soon))
		if err != nil {
			t.Fatal(err)
		}
		expectFiles(t, held, otherEpoch)
	})
	bubble(t, func(t *testing.T, s *server) {
		w := s.watch(WithCacheDir(directory))
		s.accept().end(status.Error(codes.NotFound, "no such source"))
		if _, err := w.Wait(within(t, soon)); status.Code(err) != codes.NotFound {
			t.Errorf("got %v", err)
		}
		if w.Current() == nil {
			t.Error("the copy is gone")
		}
	})
}

func TestDamagedCopyIsLeftAlone(t *testing.T) {
	other, fragment, lie, heartbeat := two.snapshot(), two.snapshot(), two.snapshot(), two.heartbeat()
	other.Header.Source = "other"
	fragment.MoreFragments = true
	lie.GetSnapshot().Files = lie.GetSnapshot().Files[1:]
	for name, message := range map[string]*pb.WatchResponse{
		"of another source": other, "a fragment": fragment, "a file missing": lie, "no snapshot": heartbeat, "text": nil,
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			path := filepath.Join(directory, allFiles)
			if message == nil {
				if err := os.WriteFile(path, []byte("not a snapshot"), 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				writeCopy(t, directory, message)
			}
			before, _ := os.ReadFile(path)
			bubble(t, func(t *testing.T, s *server) {
				w := s.watch(WithCacheDir(directory))
				st := s.expect("")
				if w.Current() != nil || w.Stale() {
					t.Error("it is taken")
				}
				if after, _ := os.ReadFile(path); string(after) != string(before) {
					t.Error("it is touched")
				}
				st.send(one.snapshot())
				time.Sleep(time.Second)
				expectCopy(t, directory, allFiles, one)
			})
		})
	}
}

func TestWhatKilledProgramsLeftIsRemoved(t *testing.T) {
	directory := filepath.Join(t.TempDir(), `a[b]*?\`) // which is no pattern
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	old, fresh := filepath.Join(directory, allFiles+".1.tmp"), filepath.Join(directory, allFiles+".2.tmp")
	for path, age := range map[string]time.Duration{old: 11 * time.Minute, fresh: 9 * time.Minute} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		written := time.Now().Add(-age)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
	d, err := newDiskCopy(directory, "demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	if held, err := d.read("demo", 1000); held != nil || err != nil {
		t.Errorf("got %v, %v", held, err)
	}
	entries, _ := os.ReadDir(directory)
	if len(entries) != 1 || entries[0].Name() != filepath.Base(fresh) {
		t.Errorf("there is %v", entries)
	}
}

func TestCopyThatCannotBeWrittenLeavesNothing(t *testing.T) {
	directory := t.TempDir()
	d, err := newDiskCopy(directory, "demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.path, 0o700); err != nil { // which a file cannot replace
		t.Fatal(err)
	}
	a := assembler{maxBytes: 100}
	if _, err := a.take(one.snapshot()); err != nil {
		t.Fatal(err)
	}
	if err := d.write(a.held); err == nil {
		t.Error("it is written")
	}
	if entries, _ := os.ReadDir(directory); len(entries) != 1 {
		t.Errorf("there is %v", entries)
	}
}
