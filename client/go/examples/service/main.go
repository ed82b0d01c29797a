// Command service is how a program that runs for long may use Confstream: it starts with the last good configuration
// even if the server is away, refuses what it cannot use, and ends when it is told to.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	confstream "confstream.dev/go"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		slog.Error("ended", "error", err)
		os.Exit(1)
	}
}

func run(address, cacheDir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := confstream.Dial(address)
	if err != nil {
		return err
	}
	defer client.Close()

	watch, err := client.Watch(ctx, "demo",
		confstream.WithGlobs("*.txt"),
		confstream.WithCacheDir(cacheDir),
		confstream.WithLogger(slog.Default()),
		confstream.OnChange(apply))
	if err != nil {
		return err
	}
	deadline, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	snapshot, err := watch.Wait(deadline)
	if err != nil {
		return err
	}
	fmt.Printf("running with version %d, stale: %v\n", snapshot.Version(), watch.Stale())

	<-watch.Done()
	return watch.Err()
}

func apply(change confstream.Change) error {
	greeting, found := change.New.File("greeting.txt")
	if !found {
		return errors.New("there is no greeting.txt")
	}
	fmt.Printf("version %d: %s\n", change.New.Version(), strings.TrimSpace(string(greeting.Content)))
	return nil
}
