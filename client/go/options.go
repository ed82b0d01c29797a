package confstream

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Mode is how changes are sent.
type Mode int

const (
	// Deltas has changes sent as the files that changed, where that is possible and smaller.
	Deltas Mode = iota
	// Snapshots has every change sent as a whole snapshot.
	Snapshots
)

// WatchOption is an option of [Client.Watch].
type WatchOption func(*watchOptions)

type watchOptions struct {
	globs             []string
	mode              Mode
	heartbeat         time.Duration
	minUpdateInterval time.Duration
	clientID          string
	labels            map[string]string
	cacheDir          string
	maxBytes          int64
	log               *slog.Logger
	onChange          func(Change) error
	onStale           func(bool)
	onDisconnect      func(error, time.Duration)
}

func newWatchOptions(options []WatchOption) (watchOptions, error) {
	o := watchOptions{heartbeat: 30 * time.Second, clientID: filepath.Base(os.Args[0]), maxBytes: 1 << 30}
	for _, option := range options {
		option(&o)
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if o.onStale == nil {
		o.onStale = func(bool) {}
	}
	if o.onDisconnect == nil {
		o.onDisconnect = func(error, time.Duration) {}
	}
	switch {
	case o.heartbeat < time.Second || o.heartbeat > time.Hour:
		return o, fmt.Errorf("confstream: the heartbeat interval %v is not between 1s and 1h", o.heartbeat)
	case o.minUpdateInterval < 0 || o.minUpdateInterval > time.Hour:
		return o, fmt.Errorf("confstream: the least update interval %v is not between 0 and 1h", o.minUpdateInterval)
	case o.maxBytes < 1:
		return o, fmt.Errorf("confstream: a watch that takes %d bytes takes nothing", o.maxBytes)
	case o.mode != Deltas && o.mode != Snapshots:
		return o, fmt.Errorf("confstream: %d is no mode", o.mode)
	}
	return o, nil
}

// WithGlobs selects the files to watch by their paths: `*` matches within one path component, `**` across components,
// `\` makes the next character literal. At most 64 globs of at most 1024 bytes. Without it all files are watched.
func WithGlobs(globs ...string) WatchOption {
	globs = slices.Clone(globs)
	return func(o *watchOptions) { o.globs = globs }
}

// WithMode sets how changes are sent. Without it: [Deltas].
func WithMode(mode Mode) WatchOption { return func(o *watchOptions) { o.mode = mode } }

// WithHeartbeat sets after how much silence the server says that it is there, from 1 s to 1 h. When three heartbeats
// are missed the copy is stale. Without it: 30 s.
func WithHeartbeat(interval time.Duration) WatchOption {
	return func(o *watchOptions) { o.heartbeat = interval }
}

// WithMinUpdateInterval sets the least time between two versions, up to 1 h; those between are skipped. Without it there
// is none.
func WithMinUpdateInterval(interval time.Duration) WatchOption {
	return func(o *watchOptions) { o.minUpdateInterval = interval }
}

// WithClientID sets what `confstream who` shows this client as; at most 256 bytes. Without it: the program's name.
func WithClientID(id string) WatchOption { return func(o *watchOptions) { o.clientID = id } }

// WithLabels sets what else `confstream who` shows, for example pod and namespace; at most 16 entries, keys and values
// of at most 256 bytes.
func WithLabels(labels map[string]string) WatchOption {
	labels = maps.Clone(labels)
	return func(o *watchOptions) { o.labels = labels }
}

// WithCacheDir keeps the last good snapshot as a file of that directory, which is made if need be, so that a program
// starts while the server is away. What is sensitive does not belong on a disk: without it nothing is kept.
func WithCacheDir(directory string) WatchOption {
	return func(o *watchOptions) { o.cacheDir = directory }
}

// WithMaxBytes sets how much content a version may have; a larger one is refused. Without it: 1 GiB.
func WithMaxBytes(bytes int64) WatchOption { return func(o *watchOptions) { o.maxBytes = bytes } }

// WithLogger has the watch log what happens to it: connected, disconnected, stale, fresh, started over, and whatever
// went wrong with the cache or a report. Without it nothing is logged.
func WithLogger(log *slog.Logger) WatchOption { return func(o *watchOptions) { o.log = log } }

// OnChange has apply called with every change: the first time with the copy from the cache directory, if there is one,
// or with the first content from the server. Calls come one at a time, in order, from a goroutine of the watch; while
// one takes its time versions are skipped, but never the newest. When apply returns nil the server is told that the
// version is applied, and the version is kept in the cache directory; when it returns an error, that it is rejected,
// with the error's text up to 1024 bytes. The snapshot is [Watch.Current] in either case.
func OnChange(apply func(Change) error) WatchOption {
	return func(o *watchOptions) { o.onChange = apply }
}

// OnStale has told called with true when the copy has become stale (see [Watch.Stale]), and with false when it is no
// more. It is called by the goroutine that reads from the server, which waits for it: it should return soon.
func OnStale(told func(stale bool)) WatchOption {
	return func(o *watchOptions) { o.onStale = told }
}

// OnDisconnect has told called when a stream ended unasked, with the reason, a status error, and the time until the next
// one is tried. It is called by the goroutine that reads from the server, which waits for it: it should return soon.
func OnDisconnect(told func(reason error, retryIn time.Duration)) WatchOption {
	return func(o *watchOptions) { o.onDisconnect = told }
}
