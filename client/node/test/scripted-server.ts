// A Confstream server that does what a test says.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import grpc from '@grpc/grpc-js';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema, durationFromMs, type Any } from '@bufbuild/protobuf/wkt';

import { Client, type WatchEvent, type WatchOptions } from '@confstream/client';

import {
  ErrorInfoSchema,
  RetryInfoSchema,
  RpcStatusSchema,
} from '../dist/esm/gen/confstream/internal/grpc_protocols_pb.js';
import {
  ReportOutcomeRequestSchema,
  ReportOutcomeResponseSchema,
  WatchRequestSchema,
  WatchResponseSchema,
  type ReportOutcomeRequest,
  type WatchRequest,
  type WatchResponse,
} from '../dist/esm/gen/confstream/v1/config_service_pb.js';
import { source, type Message } from './messages.js';

/** The most that a test waits for what must happen. */
const patienceMs = 60_000;

/** What arrives, for who waits for it. */
export class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #readers: ((item: T) => void)[] = [];
  readonly #what: string;

  constructor(what: string) {
    this.#what = what;
  }

  get size(): number {
    return this.#items.length;
  }

  put(item: T): void {
    const reader = this.#readers.shift();
    if (reader) reader(item);
    else this.#items.push(item);
  }

  async next(): Promise<T> {
    if (this.#items.length > 0) return this.#items.shift() as T;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no ${this.#what} came in ${patienceMs} ms`));
      }, patienceMs);
      this.#readers.push((arrived) => {
        clearTimeout(timer);
        resolve(arrived);
      });
    });
  }
}

/** A stream that a client has opened. */
export class ScriptedStream {
  readonly openedAt = performance.now();
  readonly watchId: string;
  readonly request: WatchRequest;
  /** Resolves when the client has given the stream up. */
  readonly cancelled: Promise<void>;
  readonly #call: grpc.ServerWritableStream<WatchRequest, WatchResponse | Buffer>;
  #first = true;

  constructor(call: grpc.ServerWritableStream<WatchRequest, WatchResponse | Buffer>, watchId: string) {
    this.#call = call;
    this.watchId = watchId;
    this.request = call.request;
    this.cancelled = new Promise((resolve) => {
      call.on('cancelled', resolve);
    });
  }

  send(...messages: Message[]): void {
    for (const message of messages) {
      this.#call.write(create(WatchResponseSchema, { ...message, ...(this.#first ? { watchId: this.watchId } : {}) }));
      this.#first = false;
    }
  }

  /** Sends a message of these bytes, whether they are one or not. */
  sendBytes(bytes: Buffer): void {
    this.#call.write(bytes);
  }

  /** Ends the stream; what is in `added` goes with it as google.rpc details. */
  end(code: grpc.status, details = 'the script ends it', added: { retryAfterMs?: number; reason?: string } = {}): void {
    const { retryAfterMs, reason } = added;
    const packed: Any[] = [];
    if (retryAfterMs !== undefined) {
      const info = create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) });
      packed.push(detail('RetryInfo', toBinary(RetryInfoSchema, info)));
    }
    if (reason !== undefined) {
      const info = create(ErrorInfoSchema, { reason, domain: 'confstream.dev' });
      packed.push(detail('ErrorInfo', toBinary(ErrorInfoSchema, info)));
    }
    const metadata = new grpc.Metadata();
    if (packed.length > 0) {
      const status = create(RpcStatusSchema, { code, message: details, details: packed });
      metadata.add('grpc-status-details-bin', Buffer.from(toBinary(RpcStatusSchema, status)));
    }
    if (code === grpc.status.OK) this.#call.end();
    else this.#call.emit('error', { code, details, metadata });
  }
}

function detail(name: string, value: Uint8Array<ArrayBuffer>): Any {
  return create(AnySchema, { typeUrl: `type.googleapis.com/google.rpc.${name}`, value });
}

export class ScriptedServer {
  /** As a client takes it. */
  address = '';
  readonly streams = new Mailbox<ScriptedStream>('stream');
  readonly reports = new Mailbox<ReportOutcomeRequest>('report');
  /** How reports are answered. */
  reportStatus = grpc.status.OK;
  #opened = 0;
  #server: grpc.Server | undefined;

  /** Listens on `address`, by default a free port, until the test is over. */
  static async start(t: TestContext, address = '127.0.0.1:0'): Promise<ScriptedServer> {
    const server = new ScriptedServer();
    server.address = address;
    await server.listen();
    t.after(() => {
      server.kill();
    });
    return server;
  }

  /** After `kill`: listens again, on the same address. */
  async listen(): Promise<void> {
    const server = new grpc.Server();
    server.addService(
      {
        watch: {
          path: '/confstream.v1.ConfigService/Watch',
          requestStream: false,
          responseStream: true,
          requestSerialize: (message: WatchRequest) => Buffer.from(toBinary(WatchRequestSchema, message)),
          requestDeserialize: (bytes: Buffer) => fromBinary(WatchRequestSchema, bytes),
          responseSerialize: (message: WatchResponse | Buffer) =>
            Buffer.isBuffer(message) ? message : Buffer.from(toBinary(WatchResponseSchema, message)),
          responseDeserialize: (bytes: Buffer) => fromBinary(WatchResponseSchema, bytes),
        },
        reportOutcome: {
          path: '/confstream.v1.ConfigService/ReportOutcome',
          requestStream: false,
          responseStream: false,
          requestSerialize: (message: ReportOutcomeRequest) =>
            Buffer.from(toBinary(ReportOutcomeRequestSchema, message)),
          requestDeserialize: (bytes: Buffer) => fromBinary(ReportOutcomeRequestSchema, bytes),
          responseSerialize: () =>
            Buffer.from(toBinary(ReportOutcomeResponseSchema, create(ReportOutcomeResponseSchema))),
          responseDeserialize: (bytes: Buffer) => fromBinary(ReportOutcomeResponseSchema, bytes),
        },
      },
      {
        watch: (call: grpc.ServerWritableStream<WatchRequest, WatchResponse | Buffer>) => {
          this.streams.put(new ScriptedStream(call, `stream-${++this.#opened}`));
        },
        reportOutcome: (
          call: grpc.ServerUnaryCall<ReportOutcomeRequest, unknown>,
          callback: grpc.sendUnaryData<unknown>,
        ) => {
          this.reports.put(call.request);
          if (this.reportStatus === grpc.status.OK) callback(null, {});
          else callback({ code: this.reportStatus, details: 'the script refuses it' });
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(this.address, grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error) reject(error);
        else resolve(bound);
      });
    });
    if (!this.address.startsWith('unix:')) this.address = this.address.replace(/\d+$/, String(port));
    this.#server = server;
  }

  /** Drops everything, as a server that is killed. */
  kill(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }
}

/** A watch of `demo` at `server`, with all that it tells. It is closed when the test is over. */
export function follow(t: TestContext, server: { address: string }, options: WatchOptions = {}) {
  const client = new Client(server.address);
  t.after(() => client.close());
  const events = new Mailbox<WatchEvent>('event');
  const seen: WatchEvent[] = [];
  const watch = client.watch(source, {
    clientId: 'test',
    ...options,
    log: (event) => {
      seen.push(event);
      events.put(event);
    },
  });
  /** The next event of this kind; others are passed over. */
  async function told<Kind extends WatchEvent['event']>(kind: Kind): Promise<Extract<WatchEvent, { event: Kind }>> {
    for (;;) {
      const event = await events.next();
      if (event.event === kind) return event as Extract<WatchEvent, { event: Kind }>;
    }
  }
  return { client, watch, told, seen };
}

/** A directory of its own, which is gone when the test is over. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'confstream-client-'));
  t.after(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** Waits until it is so. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`it is not so in ${patienceMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
