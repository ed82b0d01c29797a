package confstream

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestWrongAddressesAreRefused(t *testing.T) {
	for _, address := range []string{"", "host", ":1", "host:", "host:0", "host:65536", "host:http", "::1:1", "unix:", "a/b:1", "http://a:1"} {
		if client, err := Dial(address); err == nil {
			t.Errorf("%q is taken", address)
			client.Close()
		}
	}
}

// listen has a server on a real socket.
func listen(t *testing.T, network, address string) (*server, string) {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	go s.grpc.Serve(listener)
	return s, listener.Addr().String()
}

func TestClientsReachTCPAndUnixSockets(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:1") // is not meant for it
	for network, address := range map[string]string{
		"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": filepath.Join(t.TempDir(), "socket"),
	} {
		t.Run(network, func(t *testing.T) {
			s, address := listen(t, network, address)
			if network == "unix" {
				address = "unix:" + address
			}
			client, err := Dial(address)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			w, err := client.Watch(t.Context(), "demo")
			if err != nil {
				t.Fatal(err)
			}
			s.accept().send(one.snapshot())
			if _, err := w.Wait(within(t, time.Minute)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCloseLeavesNoGoroutineAndNoSocket(t *testing.T) {
	s, address := listen(t, "tcp4", "127.0.0.1:0")
	goroutines := func() string {
		stacks := make([]byte, 1<<20)
		return string(stacks[:runtime.Stack(stacks, true)])
	}
	for _, closing := range []func(*Client, *Watch){
		func(_ *Client, w *Watch) { w.Close() },
		func(*Client, *Watch) {}, // Client.Close does it
	} {
		client, err := Dial(address)
		if err != nil {
			t.Fatal(err)
		}
		got, option := changes()
		w, err := client.Watch(t.Context(), "demo", option, WithCacheDir(t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		st := s.accept()
		st.send(one.snapshot())
		<-got
		closing(client, w)
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		st.expectGone()
		if !w.ended() {
			t.Error("the watch goes on")
		}
		// gRPC's own goroutines of the client end soon after Close has returned; those of the watch before.
		ours := regexp.MustCompile(`confstream\.\(\*(Watch|outcomeReporter)\)`)
		if stacks := goroutines(); ours.MatchString(stacks) {
			t.Errorf("goroutines are left:\n%s", stacks)
		}
		theirs := regexp.MustCompile(`grpc\.\(\*(ClientConn|addrConn)\)|transport\.newHTTP2Client|transport\.\(\*http2Client\)`)
		for deadline := time.Now().Add(time.Minute); theirs.MatchString(goroutines()); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("goroutines are left:\n%s", goroutines())
			}
		}
	}
}

func (w *Watch) ended() bool {
	select {
	case <-w.Done():
		return true
	default:
		return false
	}
}

// What README.md shows is part of a program that is compiled and run.
func TestExamplesOfTheReadmeAreReal(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var programs string
	for _, pattern := range []string{"examples/*/*.go", "values/values_test.go"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			programs += flat(string(text))
		}
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 3 {
		t.Fatalf("there are %d examples", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(programs, flat(block[1])) {
			t.Errorf("this is nowhere in examples:\n%s", block[1])
		}
	}
	if lines := strings.Count(blocks[0][1], "\n"); lines >= 15 {
		t.Errorf("the first example has %d lines", lines)
	}
}

// flat is text without its indentation.
func flat(text string) string {
	lines := strings.Split(text, "\n")
	for n, line := range lines {
		lines[n] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// example starts a program of examples; line is what it prints next.
func example(t *testing.T, name string, arguments ...string) (command *exec.Cmd, line func() string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	if output, err := exec.Command("go", "build", "-o", program, "./examples/"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	command = exec.Command(program, arguments...)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	lines := bufio.NewScanner(output)
	return command, func() string {
		if !lines.Scan() {
			return ""
		}
		return lines.Text()
	}
}

func TestFirstExamplePrintsEveryChange(t *testing.T) {
	s, address := listen(t, "tcp4", "127.0.0.1:0")
	command, line := example(t, "first", address)
	st := s.accept()
	st.send(one.snapshot())
	if first, second := line(), line(); first != "version 1: a: one" || second != "version 1: b: same" {
		t.Errorf("it printed %q and %q", first, second)
	}
	st.send(three.deltaFrom(one))
	if third := line(); third != "version 3: b: three" {
		t.Errorf("it printed %q", third)
	}
	st.end(status.Error(codes.NotFound, "no such source"))
	if rest, err := line(), command.Wait(); rest != "" || err == nil {
		t.Errorf("it printed %q and ended with %v", rest, err)
	}
}

func TestServiceExampleRefusesAndStartsWithItsCopy(t *testing.T) {
	s, address := listen(t, "tcp4", "127.0.0.1:0")
	directory := t.TempDir()
	good := version{"e", 1, map[string]string{"greeting.txt": "hello\n"}}
	command, line := example(t, "service", address, directory)
	st := s.accept()
	st.send(good.snapshot())
	got := []string{line(), line()} // in any order
	slices.Sort(got)
	if got[0] != "running with version 1, stale: false" || got[1] != "version 1: hello" {
		t.Errorf("it printed %q", got)
	}
	s.expectReport(st, good, applied)
	st.send(two.snapshot())
	if report := s.expectReport(st, two, rejected); report.GetReason() != "there is no greeting.txt" {
		t.Errorf("the reason is %q", report.GetReason())
	}
	command.Process.Signal(os.Interrupt)
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	s.grpc.Stop()
	_, line = example(t, "service", address, directory)
	if first, second := line(), line(); first != "version 1: hello" || second != "running with version 1, stale: true" {
		t.Errorf("without a server it printed %q and %q", first, second)
	}
}
