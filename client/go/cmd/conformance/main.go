// Command conformance drives the client for tests/conformance: docs/clients.md has its flags and the lines it prints.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"

	confstream "confstream.dev/go"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run() error {
	target := flag.String("target", "", "address of the server")
	source := flag.String("source", "", "source to watch")
	var globs []string
	flag.Func("glob", "glob of the paths to watch; may be given again", func(glob string) error {
		globs = append(globs, glob)
		return nil
	})
	mode := flag.String("mode", "delta", "snapshot or delta")
	heartbeat := flag.Int("heartbeat", 30, "seconds between heartbeats")
	cacheDir := flag.String("cache-dir", "", "where the last good snapshot is kept")
	maxBytes := flag.Int64("max-bytes", 1<<30, "most bytes of a version")
	wait := flag.Float64("wait", 30, "seconds to wait for the first state")
	reject := flag.String("reject", "", "text of a file that the callback rejects")
	slow := flag.Int("slow", 0, "milliseconds that the callback takes")
	flag.Parse()

	client, err := confstream.Dial(*target)
	if err != nil {
		return err
	}
	defer client.Close()
	modes := map[string]confstream.Mode{"delta": confstream.Deltas, "snapshot": confstream.Snapshots}
	if _, known := modes[*mode]; !known {
		return fmt.Errorf("--mode is snapshot or delta, not %q", *mode)
	}
	watch, err := client.Watch(context.Background(), *source,
		confstream.WithGlobs(globs...),
		confstream.WithMode(modes[*mode]),
		confstream.WithHeartbeat(time.Duration(*heartbeat)*time.Second),
		confstream.WithCacheDir(*cacheDir),
		confstream.WithMaxBytes(*maxBytes),
		confstream.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
		confstream.OnChange(func(change confstream.Change) error {
			printChange(change)
			time.Sleep(time.Duration(*slow) * time.Millisecond)
			return judge(change.New, *reject)
		}),
		confstream.OnStale(func(stale bool) {
			if stale {
				printLine("stale", nil)
			} else {
				printLine("fresh", nil)
			}
		}),
		confstream.OnDisconnect(func(reason error, retryIn time.Duration) {
			printLine("disconnected", fields{"code": codeName(reason), "retry_ms": retryIn.Seconds() * 1000})
		}))
	if err != nil {
		return err
	}

	waited := make(chan struct{})
	go func() {
		defer close(waited)
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*wait*float64(time.Second)))
		defer cancel()
		snapshot, err := watch.Wait(ctx)
		if err != nil {
			printLine("wait_failed", fields{"message": err.Error()})
			return
		}
		printLine("settled", fields{"version": snapshot.Version(), "stale": watch.Stale()})
	}()
	asked := make(chan string)
	go func() {
		defer close(asked)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			asked <- lines.Text()
		}
	}()
	for {
		select {
		case line, more := <-asked:
			switch {
			case more && line == "current":
				printCurrent(watch)
			case !more || line == "close":
				watch.Close()
				<-waited
				printLine("closed", nil)
				return nil
			}
		case <-watch.Done():
			<-waited
			printLine("ended", fields{"code": codeName(watch.Err()), "stale": watch.Stale()})
			return nil
		}
	}
}

func judge(snapshot *confstream.Snapshot, reject string) error {
	if reject == "" {
		return nil
	}
	for file := range snapshot.Files() {
		if strings.Contains(string(file.Content), reject) {
			return fmt.Errorf("rejected: %s", reject)
		}
	}
	return nil
}

type fields map[string]any

var printing sync.Mutex

func printLine(event string, line fields) {
	if line == nil {
		line = fields{}
	}
	line["event"] = event
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // of nothing but numbers and texts
	}
	printing.Lock()
	defer printing.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func printChange(change confstream.Change) {
	digests := map[string]string{}
	for file := range change.New.Files() {
		sum := sha256.Sum256(file.Content)
		digests[file.Path] = "sha256:" + hex.EncodeToString(sum[:])
	}
	var old any
	if change.Old != nil {
		old = change.Old.Version()
	}
	printLine("change", fields{
		"version":       change.New.Version(),
		"epoch":         change.New.Epoch(),
		"view_digest":   change.New.ViewDigest(),
		"files":         digests,
		"old_version":   old,
		"from_cache":    change.FromCache,
		"missing_globs": append([]string{}, change.New.MissingGlobs()...), // [], not null
	})
}

func printCurrent(watch *confstream.Watch) {
	line := fields{"version": nil, "stale": watch.Stale()}
	if snapshot := watch.Current(); snapshot != nil {
		line["version"] = snapshot.Version()
	}
	printLine("current", line)
}

func codeName(err error) string { return code.Code(status.Code(err)).String() }
