// What can go wrong, and which of it is worth another try.

import { status, type ServiceError } from '@grpc/grpc-js';
import { fromBinary } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';

import { ErrorInfoSchema, RetryInfoSchema, RpcStatusSchema } from './gen/confstream/internal/grpc_protocols_pb.js';

/** The name of a gRPC status code, for example `'NOT_FOUND'`. */
export type StatusCode = keyof typeof status;

/** Why a watch ended, a stream broke or a wait failed. */
export class ConfstreamError extends Error {
  override name = 'ConfstreamError';
  /** The status, by its name in gRPC. */
  readonly code: StatusCode;
  /** What a Confstream server names as the reason (docs/api.md), for example `'SOURCE_NOT_FOUND'`; else empty. */
  readonly reason: string;
  /** @internal After how long the server wants to be asked again; 0 if it does not say. */
  readonly retryAfterMs: number;

  /** @internal */
  constructor(code: StatusCode, message: string, details: { reason?: string; retryAfterMs?: number } = {}) {
    super(message);
    this.code = code;
    this.reason = details.reason ?? '';
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}

/** `wait` had no first state when its time was over. The message says what kept it waiting. */
export class TimeoutError extends ConfstreamError {
  override name = 'TimeoutError';

  /** @internal */
  constructor(message: string) {
    super('DEADLINE_EXCEEDED', message);
  }
}

/** @internal The server contradicted itself: the stream is of no more use, and neither is its token. */
export class Contradiction extends ConfstreamError {
  constructor(message: string) {
    super('DATA_LOSS', message);
  }
}

/** A server may ask for a longer wait than the backoff's, but not for any. */
const mostRetryAfterMs = 60_000;

/** These come back until somebody changes the request or the server. */
const endings: ReadonlySet<StatusCode> = new Set<StatusCode>([
  'NOT_FOUND',
  'INVALID_ARGUMENT',
  'OUT_OF_RANGE',
  'FAILED_PRECONDITION',
  'PERMISSION_DENIED',
  'UNAUTHENTICATED',
  'UNIMPLEMENTED',
]);

/** Whether a stream that ended like this ends the watch. */
export function endsWatch(error: ConfstreamError): boolean {
  return endings.has(error.code);
}

/** The error of a call, with the details that a Confstream server adds. */
export function fromGrpc(error: unknown): ConfstreamError {
  const { code, details, metadata } = error as Partial<ServiceError>;
  if (code === undefined) return new ConfstreamError('INTERNAL', String(error));
  const added: { reason?: string; retryAfterMs?: number } = {};
  try {
    for (const bytes of metadata?.get('grpc-status-details-bin') ?? []) {
      for (const { typeUrl, value } of fromBinary(RpcStatusSchema, bytes as Buffer).details) {
        if (typeUrl.endsWith('/google.rpc.ErrorInfo')) added.reason = fromBinary(ErrorInfoSchema, value).reason;
        if (!typeUrl.endsWith('/google.rpc.RetryInfo')) continue;
        const { retryDelay } = fromBinary(RetryInfoSchema, value);
        if (retryDelay) added.retryAfterMs = Math.min(Math.max(durationMs(retryDelay), 0), mostRetryAfterMs);
      }
    }
  } catch {
    // Details that cannot be read are left out: the status itself counts.
  }
  const text = (details ?? '').replace(/ *Resolution note: *$/, ''); // grpc-js ends some with it, and no note
  return new ConfstreamError((status[code] as StatusCode | undefined) ?? 'INTERNAL', text, added);
}
