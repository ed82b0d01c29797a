package dev.confstream.client;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.RetryInfo;
import dev.confstream.v1.ConfigServiceGrpc.ConfigServiceImplBase;
import dev.confstream.v1.ReportOutcomeRequest;
import dev.confstream.v1.ReportOutcomeResponse;
import dev.confstream.v1.WatchRequest;
import dev.confstream.v1.WatchResponse;
import io.grpc.BindableService;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** A server on a port of this machine that says what a test tells it to. */
final class ScriptedServer implements AutoCloseable {
  private static final int PATIENCE_SECONDS = 60;

  final int port;
  private final Server server;
  private final BlockingQueue<Stream> streams = new LinkedBlockingQueue<>();
  private final BlockingQueue<ReportOutcomeRequest> reports = new LinkedBlockingQueue<>();
  private final AtomicInteger reportsToRefuse = new AtomicInteger();
  private volatile boolean holdsReports;

  ScriptedServer() throws IOException {
    this(0);
  }

  ScriptedServer(int port) throws IOException {
    this(NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port)));
  }

  ScriptedServer(NettyServerBuilder builder) throws IOException {
    server = builder.addService(service()).build().start();
    port = server.getPort();
  }

  String address() {
    return "127.0.0.1:" + port;
  }

  /** The next {@code count} reports fail. */
  void refuseReports(int count) {
    reportsToRefuse.set(count);
  }

  /** Reports are not answered any more. */
  void holdReports() {
    holdsReports = true;
  }

  /** Waits for the next call of Watch. */
  Stream nextStream() throws InterruptedException {
    Stream stream = streams.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    assertNotNull(stream, "no call of Watch");
    return stream;
  }

  void expectNoStreamFor(long millis) throws InterruptedException {
    assertNull(streams.poll(millis, TimeUnit.MILLISECONDS), "a call of Watch too many");
  }

  /** Waits for the next call of ReportOutcome, refused ones included. */
  ReportOutcomeRequest nextReport() throws InterruptedException {
    ReportOutcomeRequest report = reports.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
    assertNotNull(report, "no report");
    return report;
  }

  void expectNoReportFor(long millis) throws InterruptedException {
    assertNull(reports.poll(millis, TimeUnit.MILLISECONDS), "a report too many");
  }

  /** Is gone at once, as if killed. */
  @Override
  public void close() {
    try {
      server.shutdownNow().awaitTermination(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private BindableService service() {
    return new ConfigServiceImplBase() {
      @Override
      public void watch(WatchRequest request, StreamObserver<WatchResponse> answers) {
        streams.add(new Stream(request, (ServerCallStreamObserver<WatchResponse>) answers));
      }

      @Override
      public void reportOutcome(
          ReportOutcomeRequest request, StreamObserver<ReportOutcomeResponse> answers) {
        reports.add(request);
        if (holdsReports) return;
        if (reportsToRefuse.getAndUpdate(left -> Math.max(0, left - 1)) > 0) {
          answers.onError(Status.UNAVAILABLE.asRuntimeException());
          return;
        }
        answers.onNext(ReportOutcomeResponse.getDefaultInstance());
        answers.onCompleted();
      }
    };
  }

  /** One call of Watch. */
  static final class Stream {
    private static final AtomicInteger COUNT = new AtomicInteger();

    final WatchRequest request;
    final String watchId = "watch-" + COUNT.incrementAndGet();
    private final ServerCallStreamObserver<WatchResponse> answers;
    private final CountDownLatch cancelled = new CountDownLatch(1);
    private boolean saidId;

    Stream(WatchRequest request, ServerCallStreamObserver<WatchResponse> answers) {
      this.request = request;
      this.answers = answers;
      answers.setOnCancelHandler(cancelled::countDown);
    }

    Stream send(WatchResponse message) {
      answers.onNext(saidId ? message : message.toBuilder().setWatchId(watchId).build());
      saidId = true;
      return this;
    }

    void end(Status status) {
      if (status.isOk()) {
        answers.onCompleted();
      } else {
        answers.onError(status.asRuntimeException());
      }
    }

    void endWithRetryInfo(Status status, int seconds) {
      RetryInfo info =
          RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setSeconds(seconds)).build();
      answers.onError(
          StatusProto.toStatusRuntimeException(
              com.google.rpc.Status.newBuilder()
                  .setCode(status.getCode().value())
                  .addDetails(Any.pack(info))
                  .build()));
    }

    /** Waits until the client has given the stream up. */
    void expectCancelled() throws InterruptedException {
      if (!cancelled.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        throw new AssertionError("the client holds the stream open");
      }
    }
  }
}
