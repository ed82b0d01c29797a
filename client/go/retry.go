package confstream

import (
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	firstBackoff = 100 * time.Millisecond
	mostBackoff  = 10 * time.Second
	// A server may ask for a longer wait than the backoff's, but not for any.
	mostAskedDelay = time.Minute
)

// backoff is exponential with full jitter: any time between nothing and a bound that doubles with each failure, so that
// clients that lost their server together do not come back together.
type backoff struct{ bound time.Duration }

func (b *backoff) next() time.Duration {
	delay := rand.N(b.bound)
	b.bound = min(2*b.bound, mostBackoff)
	return delay
}

func (b *backoff) reset() { b.bound = firstBackoff }

// worthRetrying is false for what comes back until somebody changes the request or the server.
func worthRetrying(err error) bool {
	switch status.Code(err) {
	case codes.NotFound, codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition, codes.PermissionDenied,
		codes.Unauthenticated, codes.Unimplemented:
		return false
	}
	return true
}

// askedDelay is the wait that the server asks for with a RetryInfo.
func askedDelay(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return min(info.GetRetryDelay().AsDuration(), mostAskedDelay)
		}
	}
	return 0
}
