package confstream

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "confstream.dev/go/confstream/v1"
)

func TestViewDigestIsThatOfWhatSha256sumPrints(t *testing.T) {
	v := version{"e", 1, map[string]string{"b": "two\n", "a": "one\n", `dir/back\slash`: ""}}
	// (LC_ALL=C; sha256sum $(find * -type f | sort)) | sha256sum
	const want = "sha256:bae6782696d048cda63c6bb0d117d3ab1db9dbb653be84a023e6bd37dc2b83ee"
	if got := v.digest(); got != want {
		t.Errorf("got %s", got)
	}
	if got := viewDigest(nil); got != contentDigest(nil) {
		t.Errorf("of nothing: %s", got)
	}
}

func TestSnapshotFindsItsFiles(t *testing.T) {
	a := assembler{maxBytes: 100}
	message := two.snapshot()
	message.GetSnapshot().MissingGlobs = []string{"x*"}
	if settles, err := a.take(message); err != nil || !settles {
		t.Fatal(settles, err)
	}
	s := a.held
	file, found := s.File("a")
	if !found || string(file.Content) != "two" || file.Digest != contentDigest([]byte("two")) || file.ContentType != "text/plain" {
		t.Errorf("got %+v", file)
	}
	if _, found := s.File("aa"); found || s.Len() != 3 {
		t.Errorf("found what is not there among %d files", s.Len())
	}
	if globs := s.MissingGlobs(); len(globs) != 1 || globs[0] != "x*" || s.Source() != "demo" {
		t.Errorf("got %v of %s", globs, s.Source())
	}
}

// Each of these is taken after version 2 has come on the same stream.
func TestAssemblerBelievesNoContradiction(t *testing.T) {
	five := version{"e", 5, map[string]string{"a": "five", "b": "same", "d": "0123456789"}}
	fragmentsOf := func(change func(fragments []*pb.WatchResponse)) []*pb.WatchResponse {
		fragments := five.fragments(4) // a: 1, b: 1, d: 3
		change(fragments)
		return fragments
	}
	snapshotOf := func(change func(files []*pb.ConfigFile)) []*pb.WatchResponse {
		message := five.snapshot()
		change(message.GetSnapshot().GetFiles())
		return []*pb.WatchResponse{message}
	}
	deltaOf := func(change func(delta *pb.Delta)) []*pb.WatchResponse {
		message := five.deltaFrom(two)
		change(message.GetDelta())
		return []*pb.WatchResponse{message}
	}
	for name, messages := range map[string][]*pb.WatchResponse{
		"another view digest": fragmentsOf(func(f []*pb.WatchResponse) {
			for _, fragment := range f {
				fragment.GetSnapshot().ViewDigest = two.digest()
			}
		}),
		"another digest of a file": snapshotOf(func(f []*pb.ConfigFile) { f[0].Digest = f[1].Digest }),
		"other bytes":              snapshotOf(func(f []*pb.ConfigFile) { f[0].Content = []byte("FIVE") }),
		"too many bytes":           snapshotOf(func(f []*pb.ConfigFile) { f[0].SizeBytes = 3 }),
		"too few bytes":            snapshotOf(func(f []*pb.ConfigFile) { f[2].SizeBytes = 11 }),
		"a size below zero":        snapshotOf(func(f []*pb.ConfigFile) { f[0].SizeBytes = -1; f[0].Content = nil }),
		"no path":                  snapshotOf(func(f []*pb.ConfigFile) { f[0].Path = "" }),
		"a path twice":             snapshotOf(func(f []*pb.ConfigFile) { f[1].Path = "a" }),
		"paths out of order": func() []*pb.WatchResponse {
			message := five.snapshot()
			files := message.GetSnapshot().GetFiles()
			files[0], files[1] = files[1], files[0]
			var listed []File
			for _, file := range files {
				listed = append(listed, File{Path: file.GetPath(), Digest: file.GetDigest()})
			}
			message.GetSnapshot().ViewDigest = viewDigest(listed) // of that order
			return []*pb.WatchResponse{message}
		}(),
		"a beginning in the middle":  snapshotOf(func(f []*pb.ConfigFile) { f[0].ContentOffset = 1 }),
		"parts out of order":         fragmentsOf(func(f []*pb.WatchResponse) { f[2].Event, f[3].Event = f[3].Event, f[2].Event }),
		"a part twice":               fragmentsOf(func(f []*pb.WatchResponse) { f[3].Event = f[2].Event }),
		"a part left out":            fragmentsOf(func(f []*pb.WatchResponse) { f[3].Event = f[4].Event }),
		"an end before the last":     fragmentsOf(func(f []*pb.WatchResponse) { f[3].MoreFragments = false }),
		"another version":            fragmentsOf(func(f []*pb.WatchResponse) { f[1].Header.Version = 6 }),
		"another epoch":              fragmentsOf(func(f []*pb.WatchResponse) { f[1].Header.Epoch = "g" }),
		"another promise":            fragmentsOf(func(f []*pb.WatchResponse) { f[1].GetSnapshot().ViewDigest = two.digest() }),
		"another kind":               fragmentsOf(func(f []*pb.WatchResponse) { f[1].Event = five.deltaFrom(two).Event }),
		"a heartbeat between":        slices.Insert(five.fragments(4), 1, two.heartbeat()),
		"an event between":           slices.Insert(five.fragments(4), 1, &pb.WatchResponse{Header: five.header()}),
		"the same version":           {two.snapshot()},
		"an older version":           {one.snapshot()},
		"a version that was told":    {sameAsTwo.heartbeat(), version{"e", 7, five.files}.snapshot()},
		"version 0":                  {version{"g", 0, one.files}.snapshot()},
		"a delta on another version": deltaOf(func(d *pb.Delta) { d.BaseVersion = 1 }),
		"a delta without removal":    deltaOf(func(d *pb.Delta) { d.RemovedPaths = nil }),
		"a removal of what is not":   deltaOf(func(d *pb.Delta) { d.RemovedPaths = append(d.RemovedPaths, "x") }),
		"a delta without a change":   deltaOf(func(d *pb.Delta) { d.ChangedFiles = d.ChangedFiles[1:] }),
		"another base": func() []*pb.WatchResponse {
			whole := five.deltaFrom(two)
			first, second := five.deltaFrom(two), five.deltaFrom(two)
			first.MoreFragments, first.InSync = true, false
			first.GetDelta().ChangedFiles, first.GetDelta().RemovedPaths = whole.GetDelta().ChangedFiles[:1], nil
			second.GetDelta().ChangedFiles = whole.GetDelta().ChangedFiles[1:]
			second.GetDelta().BaseVersion = 1
			return []*pb.WatchResponse{first, second}
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			a := assembler{maxBytes: 1 << 20}
			a.begin()
			if _, err := a.take(two.snapshot()); err != nil {
				t.Fatal(err)
			}
			for n, message := range messages {
				_, err := a.take(message)
				if status.Code(err) == codes.DataLoss {
					if a.held.viewDigest != two.digest() || a.token == "" {
						t.Error("the copy is gone")
					}
					return
				}
				if err != nil {
					t.Fatalf("message %d: %v", n, err)
				}
			}
			t.Error("it is believed")
		})
	}
}

func TestAssemblerBelievesTheTruth(t *testing.T) {
	five := version{"e", 5, map[string]string{"a": "five", "b": "same", "d": "0123456789", "e": ""}}
	for name, messages := range map[string][]*pb.WatchResponse{
		"a snapshot":                       {five.snapshot()},
		"small fragments":                  five.fragments(1),
		"fragments":                        five.fragments(3),
		"a delta":                          {five.deltaFrom(two)},
		"a delta after a heartbeat":        {sameAsTwo.heartbeat(), version{"e", 9, five.files}.deltaFrom(sameAsTwo)},
		"a lower version of another epoch": {version{"f", 1, five.files}.snapshot()},
		"an empty view":                    {version{"e", 5, nil}.snapshot()},
		"an empty view by a delta":         {version{"e", 5, nil}.deltaFrom(two)},
	} {
		t.Run(name, func(t *testing.T) {
			a := assembler{maxBytes: 1 << 20}
			a.begin()
			if _, err := a.take(two.snapshot()); err != nil {
				t.Fatal(err)
			}
			var settles bool
			for _, message := range messages {
				var err error
				if settles, err = a.take(message); err != nil {
					t.Fatal(err)
				}
			}
			want := messages[len(messages)-1].GetHeader()
			files := five.files
			if strings.Contains(name, "empty") {
				files = nil
			}
			expectFiles(t, a.held, version{want.GetEpoch(), want.GetVersion(), files})
			if !settles || a.token != want.GetResumeToken() {
				t.Errorf("settles: %v, the token is %q", settles, a.token)
			}
		})
	}
}

func TestStreamWithoutATokenCannotSpeakOfWhatItHasNotSent(t *testing.T) {
	a := assembler{maxBytes: 1 << 20}
	a.begin()
	if _, err := a.take(two.heartbeat()); status.Code(err) != codes.DataLoss {
		t.Errorf("in sync with nothing: %v", err)
	}
	if _, err := a.take(two.snapshot()); err != nil {
		t.Fatal(err)
	}
	a.token = ""
	a.begin()
	ahead := version{"e", 9, two.files}
	status55 := &pb.WatchResponse{Header: ahead.header(), Event: &pb.WatchResponse_SourceStatus{SourceStatus: &pb.SourceStatus{}}}
	if _, err := a.take(status55); err != nil || a.token != "" || a.held.Version() != 2 {
		t.Errorf("it took %q for version %d: %v", a.token, a.held.Version(), err)
	}
	if _, err := a.take(ahead.heartbeat()); status.Code(err) != codes.DataLoss {
		t.Errorf("in sync with what was not sent: %v", err)
	}
	if _, err := a.take(three.deltaFrom(two)); status.Code(err) != codes.DataLoss {
		t.Errorf("a delta without a base: %v", err)
	}
}

func TestAssemblerKeepsToItsBound(t *testing.T) {
	take := func(maxBytes int64, messages ...*pb.WatchResponse) error {
		a := assembler{maxBytes: maxBytes}
		for _, message := range messages {
			if _, err := a.take(message); err != nil {
				return err
			}
		}
		return nil
	}
	// one has 7 bytes, two 10, and the delta 6 of them.
	for bound, messages := range map[int64][]*pb.WatchResponse{7: {one.snapshot()}, 10: {one.snapshot(), two.deltaFrom(one)}} {
		if err := take(bound, messages...); err != nil {
			t.Errorf("%d bytes are refused: %v", bound, err)
		}
		if err := take(bound-1, messages...); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%d bytes are taken where %d are allowed: %v", bound, bound-1, err)
		}
	}
	half := strings.Repeat("x", mostOverhead/2-len("a")-len("text/plain")-overheadOfFile)
	all := version{"e", 1, map[string]string{"a" + half: "", "b" + half: ""}}
	more := version{"e", 2, map[string]string{"a" + half: "", "b" + half: "", "c": ""}}
	other := version{"e", 2, map[string]string{"a" + half: "", "c" + half: ""}}
	if err := take(1, all.snapshot(), other.deltaFrom(all)); err != nil {
		t.Errorf("names up to the bound are refused: %v", err)
	}
	for name, messages := range map[string][]*pb.WatchResponse{
		"a snapshot": {more.snapshot()}, "a delta": {all.snapshot(), more.deltaFrom(all)},
	} {
		if err := take(1, messages...); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s with more names is taken: %v", name, err)
		}
	}
	huge := one.snapshot()
	huge.GetSnapshot().GetFiles()[0].SizeBytes = 1 << 60
	if err := take(1<<30, huge); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}
