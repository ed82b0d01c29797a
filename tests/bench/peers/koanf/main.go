// The file watcher of koanf, as its documentation shows it, with a clock: what confstreamd's way over gRPC is held
// against. Follows the YAML file that is named until standard input ends, then prints as JSON when which update was
// seen in the callback: [[number, monotonic nanoseconds], ...].
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"sync"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"golang.org/x/sys/unix"
)

func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		log.Fatal(err)
	}
	return now.Nano()
}

// receipts are the updates that were seen, each once, in order.
type receipts struct {
	mu   sync.Mutex
	last int64
	list [][2]int64
}

// note takes the value of the key; one that is not whole is none.
func (r *receipts) note(value string) {
	now := monotonic()
	var number, began int64
	if _, err := fmt.Sscanf(value, "%d %d", &number, &began); err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if number > r.last {
		r.last = number
		r.list = append(r.list, [2]int64{number, now})
	}
}

func main() {
	seen := receipts{list: [][2]int64{}}
	provider := file.Provider(os.Args[1])
	if err := koanf.New(".").Load(provider, yaml.Parser()); err != nil {
		log.Fatal(err)
	}
	err := provider.Watch(func(_ interface{}, err error) {
		if err != nil {
			log.Println(err)
			return
		}
		k := koanf.New(".")
		if err := k.Load(provider, yaml.Parser()); err != nil {
			return // the file was not there, or not whole
		}
		seen.note(k.String("cs-bench-payload"))
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(seen.list); err != nil {
		log.Fatal(err)
	}
}
