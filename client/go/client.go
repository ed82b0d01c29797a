package confstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Servers send about 1 MiB; gRPC's own bound is 4 MiB.
const mostMessageBytes = 64 << 20

// ErrClosed is what calls fail with after Close.
var ErrClosed = errors.New("confstream: closed")

// Client is a connection to one server. It may be used by several goroutines at once.
type Client struct {
	target  string
	options []grpc.DialOption

	mu      sync.Mutex
	conn    *grpc.ClientConn         // for the next stream
	streams map[*grpc.ClientConn]int // how many a connection has, conn and those before it
	watches map[*Watch]struct{}      // those that run; nil once closed
}

// Dial returns a client of the server at address: host:port, [v6]:port or unix:/path. It does not connect: the first
// watch does. There is no TLS unless an option brings it, [grpc.WithTransportCredentials]; options override what Dial
// sets itself. It fails if the address or an option is wrong.
func Dial(address string, options ...grpc.DialOption) (*Client, error) {
	target, err := targetOf(address)
	if err != nil {
		return nil, err
	}
	c := &Client{target: target, streams: map[*grpc.ClientConn]int{}, watches: map[*Watch]struct{}{}}
	c.options = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostMessageBytes)),
		// Connections are tried when a watch tries a stream: gRPC's own backoff would come between, and keep step
		// with that of other clients. See giveBack.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: mostBackoff, Multiplier: 1, MaxDelay: mostBackoff},
			MinConnectTimeout: mostBackoff,
		}),
		// The server is on this node or this network: http_proxy is not meant for it, nor is DNS asked how to call it.
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
	}, options...)
	if c.conn, err = grpc.NewClient(c.target, c.options...); err != nil {
		return nil, fmt.Errorf("confstream: %w", err)
	}
	return c, nil
}

func targetOf(address string) (string, error) {
	if path, found := strings.CutPrefix(address, "unix:"); found && path != "" {
		return address, nil
	}
	host, port, err := net.SplitHostPort(address)
	number, notNumber := strconv.ParseUint(port, 10, 16)
	if err != nil || notNumber != nil || number == 0 || host == "" || strings.ContainsAny(host, "/ ") {
		return "", fmt.Errorf("confstream: the server address %q is neither host:port, such as 127.0.0.1:50051 or "+
			"[::1]:50051, nor unix:/path", address)
	}
	return "dns:///" + address, nil // with its scheme, so that no host name is taken for one
}

// Watch follows a source until Close, or until ctx is done, or until the server says what trying again would not mend,
// see [Watch.Err]. It does not wait for the server: [Watch.Wait] does. It fails if an option is wrong, or after Close.
func (c *Client) Watch(ctx context.Context, source string, options ...WatchOption) (*Watch, error) {
	w, err := newWatch(ctx, c, source, options)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	open := c.watches != nil
	if open {
		c.watches[w] = struct{}{}
	}
	c.mu.Unlock()
	if !open {
		w.cancel()
		return nil, ErrClosed
	}
	w.start()
	return w, nil
}

// Close closes all watches, see [Watch.Close], and then the connection.
func (c *Client) Close() error {
	c.mu.Lock()
	watches, conn := c.watches, c.conn // which nobody replaces any more
	c.watches = nil
	c.mu.Unlock()
	for w := range watches {
		w.Close()
	}
	return conn.Close()
}

func (c *Client) forget(w *Watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watches, w)
}

// take gives a connection for one stream, which then gives it back.
func (c *Client) take() *grpc.ClientConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[c.conn]++
	return c.conn
}

// giveBack ends the use of a connection by a stream. If the connection itself is suspect, later streams get a new one,
// and those that are on it keep it. A channel that failed to connect answers every call with its last failure until it
// has connected in its own time, so that a server that is back would be found late; a new one connects with the next
// stream, which is when the backoff of the watch has it.
func (c *Client) giveBack(conn *grpc.ClientConn, suspect bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if suspect && conn == c.conn && c.watches != nil {
		if fresh, err := grpc.NewClient(c.target, c.options...); err == nil { // as it was in Dial
			c.conn = fresh
		}
	}
	if c.streams[conn]--; c.streams[conn] == 0 {
		delete(c.streams, conn)
		if conn != c.conn {
			conn.Close()
		}
	}
}
