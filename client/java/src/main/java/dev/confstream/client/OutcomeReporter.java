package dev.confstream.client;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.confstream.v1.ConfigServiceGrpc;
import dev.confstream.v1.Outcome;
import dev.confstream.v1.ReportOutcomeRequest;
import dev.confstream.v1.ReportOutcomeResponse;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Status;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.lang.System.Logger.Level;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Keeps true what the server knows of a watch's outcomes: a report belongs to a stream and is
 * forgotten with it, so after a reconnection the outcome of what is still held is told again; and
 * so it is when the version moves on without other content. One report is on its way at a time.
 * Used by the tasks of one watch only.
 */
final class OutcomeReporter {
  private static final int MOST_REASON_BYTES = 1024; // the server's bound
  private static final int TIMEOUT_SECONDS = 5;
  private static final int MOST_WAITING = 16; // the oldest give way: operators look at the newest

  private final Executor executor;
  private final LogHook log;

  private Channel channel; // of the stream
  private String watchId = ""; // of the stream; empty: it has not said it yet
  private Snapshot confirmed; // what is held, if the stream has brought or confirmed it; else null
  private Decision decision; // on what the program was given last; null: none yet
  private Report reported; // the last that the server took
  private Report refused; // the last that failed, unless one after it was taken; it is logged once
  private final Deque<Report> waiting = new ArrayDeque<>();
  private ClientCall<ReportOutcomeRequest, ReportOutcomeResponse> call; // on its way; null: none is
  private boolean closed;

  private record Decision(String viewDigest, Outcome outcome, String reason) {}

  private record Report(String watchId, String epoch, long version, Decision decision) {}

  /** Calls back on {@code executor}, which runs the tasks of the watch. */
  OutcomeReporter(Executor executor, LogHook log) {
    this.executor = executor;
    this.log = log;
  }

  void onStream(Channel streamChannel) {
    channel = streamChannel;
    watchId = "";
    confirmed = null;
    waiting.clear();
  }

  /**
   * A message of the stream was taken. {@code nowConfirmed} is null while the stream has not
   * confirmed what is held.
   */
  void onMessage(String messageWatchId, Snapshot nowConfirmed) {
    if (!messageWatchId.isEmpty()) watchId = messageWatchId;
    confirmed = nowConfirmed;
    // What is on its way may be this very report, or fail: what is due is looked for after it.
    if (call != null) return;
    Report due = dueOfConfirmed();
    if (due != null) {
      enqueue(due);
    } else if (refused != null && refused.watchId().equals(watchId)) {
      enqueue(refused); // of a version that is held no more
    }
  }

  /** The program is given other content: if what it has decided on comes back, it decides again. */
  void forgetDecision() {
    decision = null;
  }

  /** The program has decided on {@code snapshot}. */
  void decide(Snapshot snapshot, Outcome outcome, String reason) {
    if (closed) return;
    decision = new Decision(snapshot.viewDigest(), outcome, reasonText(reason));
    if (watchId.isEmpty() || confirmed == null) return; // told once the stream has confirmed it
    if (decision.viewDigest().equals(confirmed.viewDigest())) {
      Report due = dueOfConfirmed();
      if (due != null) enqueue(due);
    } else if (snapshot.epoch().equals(confirmed.epoch())) {
      enqueue(new Report(watchId, snapshot.epoch(), snapshot.version(), decision));
    }
  }

  void close() {
    closed = true;
    waiting.clear();
    if (call != null) call.cancel("the watch is closed", null);
  }

  /** What the server is to know of the content that is held, and does not; null: nothing. */
  private Report dueOfConfirmed() {
    if (decision == null || confirmed == null || watchId.isEmpty()) return null;
    if (!decision.viewDigest().equals(confirmed.viewDigest())) return null;
    Report due = new Report(watchId, confirmed.epoch(), confirmed.version(), decision);
    return due.equals(reported) ? null : due;
  }

  private void enqueue(Report report) {
    if (waiting.size() == MOST_WAITING) waiting.removeFirst();
    waiting.addLast(report);
    if (call == null) sendNext();
  }

  private void sendNext() {
    Report report = waiting.pollFirst();
    if (report == null) return;
    ReportOutcomeRequest request =
        ReportOutcomeRequest.newBuilder()
            .setWatchId(report.watchId())
            .setVersion(report.version())
            .setOutcome(report.decision().outcome())
            .setReason(report.decision().reason())
            .build();
    call =
        channel.newCall(
            ConfigServiceGrpc.getReportOutcomeMethod(),
            CallOptions.DEFAULT
                .withExecutor(executor)
                .withDeadlineAfter(TIMEOUT_SECONDS, TimeUnit.SECONDS));
    ClientCalls.asyncUnaryCall(
        call,
        request,
        new StreamObserver<>() {
          @Override
          public void onNext(ReportOutcomeResponse response) {
            reported = report;
            refused = null; // an older one is not to come after it
          }

          @Override
          public void onError(Throwable error) {
            // Told again with the next message of the stream.
            if (!closed && !report.equals(refused)) {
              log.log(
                  Level.WARNING,
                  "the outcome of version %d was not reported: %s"
                      .formatted(report.version(), Status.fromThrowable(error)));
            }
            refused = report;
            onCompleted();
          }

          @Override
          public void onCompleted() {
            call = null;
            if (closed) return;
            // It may have been overtaken: by a version that moved on, or by another stream.
            Report due = dueOfConfirmed();
            if (waiting.isEmpty() && due != null && !due.equals(report)) waiting.addLast(due);
            sendNext();
          }
        });
  }

  /** {@code text} as a reason can be: at most so many bytes, of which the end is left out. */
  static String reasonText(String text) {
    byte[] bytes = text.getBytes(UTF_8);
    int end = Math.min(bytes.length, MOST_REASON_BYTES);
    // Not within a character, whose bytes but the first begin with 10.
    while (end < bytes.length && (bytes[end] & 0xC0) == 0x80) end--;
    return new String(bytes, 0, end, UTF_8);
  }
}
