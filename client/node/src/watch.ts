// Follows a source, over as many streams as it takes.

import { AsyncLocalStorage } from 'node:async_hooks';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';

import { Assembler } from './assembler.js';
import { Backoff } from './backoff.js';
import type { Connection } from './connection.js';
import { DiskCopy } from './disk-copy.js';
import { ConfstreamError, Contradiction, endsWatch, fromGrpc, TimeoutError, type StatusCode } from './errors.js';
import { OutcomeReporter, type Outcome } from './outcomes.js';
import type { Snapshot } from './snapshot.js';
import {
  SourceState,
  WatchMode,
  WatchRequestSchema,
  type SourceStatus,
  type WatchResponse,
} from './gen/confstream/v1/config_service_pb.js';

/** One change of a source. */
export interface Change {
  /** What was told last; undefined the first time. */
  readonly old: Snapshot | undefined;
  /** What is held now. */
  readonly current: Snapshot;
  /** It is the copy on disk, and the server has not called it current. */
  readonly fromCache: boolean;
}

/** What to watch, and how. */
export interface WatchOptions {
  /** Selects files by path, for example `['*.yaml', 'flags/**']`. Default: all files. */
  globs?: readonly string[];
  /**
   * Called with every change, one at a time, in order; while it runs versions are skipped, never the newest. When it
   * returns, or its promise is fulfilled, the version is reported APPLIED; if it throws, REJECTED with the message.
   */
  onChange?: (change: Change) => void | Promise<void>;
  /** Called with what happens, to be logged. What it throws is ignored. */
  log?: (event: WatchEvent) => void;
  /** Where to keep the last good snapshot, in plain text. It is made if it is not there. Default: nowhere. */
  cacheDir?: string;
  /** How changes are sent. Default: `'delta'`. */
  mode?: 'delta' | 'snapshot';
  /** The server sends something at least this often, from 1 s to 1 h. Default: 30 s. */
  heartbeatMs?: number;
  /** The least time between two versions, at most 1 h. Default: 0, no limit. */
  minUpdateIntervalMs?: number;
  /** Who is shown by `confstream who`, at most 256 bytes. Default: the file name of the program. */
  clientId?: string;
  /** More to show there, at most 16 entries, for example pod and namespace. */
  labels?: Readonly<Record<string, string>>;
  /** Versions with more content are refused. Default: 1 GiB. */
  maxBytes?: number;
}

/** Something that happened to a watch: a level, a sentence, and what a program may want to know of it. */
export type WatchEvent = { readonly level: 'info' | 'warn' | 'error'; readonly message: string } & (
  | { /** The server answered on a new stream. */ readonly event: 'connected' }
  | {
      /** A stream ended unasked, with this status; the next one is opened after `retryMs`. */
      readonly event: 'disconnected';
      readonly code: StatusCode;
      readonly retryMs: number;
    }
  | { /** What is held may be out of date: nothing was heard for three heartbeats. */ readonly event: 'stale' }
  | { /** What is held is current again. */ readonly event: 'fresh' }
  | { /** The server contradicted itself: the next stream starts over without a token. */ readonly event: 'restarted' }
  | { /** `onChange` failed with this version. */ readonly event: 'rejected'; readonly version: number }
  | { /** The watch ended by itself, with this status. */ readonly event: 'ended'; readonly code: StatusCode }
  | { /** The disk copy could not be read or written. */ readonly event: 'cache' }
  | { /** A report failed; it is tried again with the next message. */ readonly event: 'report' }
);

/** How long to wait. */
export interface WaitOptions {
  /** At most this long. Default: no limit. */
  timeoutMs?: number;
  /** Ends the wait with the signal's reason. */
  signal?: AbortSignal;
}

const missedHeartbeats = 3;
const hourMs = 3_600_000;
// eslint-disable-next-line no-control-regex
const control = /[\x00-\x1f\x7f-\x9f]/g;
const modes = new Map([
  ['delta', WatchMode.DELTA],
  ['snapshot', WatchMode.SNAPSHOT],
]);
const longestTimerMs = 2 ** 31 - 1; // Node's timers fire at once if asked for more

/** Which call of which `onChange` the code runs in, so that `close` does not wait for the call it is called from. */
const callScope = new AsyncLocalStorage<symbol>();

/**
 * Follows one source, or a part of it, until it is closed or the server says that there is no point in trying. It keeps
 * the process alive meanwhile. Made by `Client.watch`; an `AsyncIterable` of the changes from the time on at which the
 * iteration begins, with what is held then as the first.
 */
export class Watch implements AsyncIterable<Change> {
  /** Name of the source. */
  readonly source: string;

  readonly #connection: Connection;
  readonly #request: MessageInitShape<typeof WatchRequestSchema>;
  readonly #onChange: WatchOptions['onChange'];
  readonly #log: WatchOptions['log'];
  readonly #onEnd: () => void;
  readonly #silenceMs: number;
  readonly #disk: DiskCopy | undefined;
  readonly #assembler: Assembler;
  readonly #reporter: OutcomeReporter;
  readonly #backoff = new Backoff();
  readonly #closing = new AbortController();
  readonly #staleTimer: NodeJS.Timeout;
  readonly #streams: Promise<void>;
  readonly #changes: Promise<void>;

  #heard = 0; // messages
  #settled = false;
  #stale = false;
  #error: ConfstreamError | undefined;
  #waitingFor: string;
  #runningCall: symbol | undefined;
  /** Who waits for something to change; each is called once. */
  readonly #sleepers = new Set<() => void>();

  /** @internal */
  constructor(connection: Connection, source: string, options: WatchOptions, onEnd: () => void) {
    const { globs = [], heartbeatMs = 30_000, minUpdateIntervalMs = 0, maxBytes = 2 ** 30, cacheDir } = options;
    if (source === '') throw new TypeError('source is empty: name one');
    if (typeof globs === 'string') throw new TypeError(`globs is to be an array, such as ['*.yaml']`);
    const mode = modes.get(options.mode ?? 'delta');
    if (mode === undefined) throw new TypeError(`mode is ${String(options.mode)}: it can be 'delta' or 'snapshot'`);
    checkRange('heartbeatMs', heartbeatMs, 1000, hourMs);
    checkRange('minUpdateIntervalMs', minUpdateIntervalMs, 0, hourMs);
    checkRange('maxBytes', maxBytes, 1, Number.MAX_SAFE_INTEGER);
    this.source = source;
    this.#connection = connection;
    this.#request = {
      source,
      pathGlobs: [...globs],
      mode,
      heartbeatInterval: durationFromMs(Math.round(heartbeatMs)),
      minUpdateInterval: durationFromMs(Math.round(minUpdateIntervalMs)),
      clientId: options.clientId ?? basename(process.argv[1] ?? process.execPath),
      labels: { ...options.labels },
    };
    this.#onChange = options.onChange;
    this.#log = options.log;
    this.#onEnd = onEnd;
    this.#silenceMs = missedHeartbeats * heartbeatMs;
    this.#waitingFor = `no answer yet from ${connection.address}`;
    this.#disk = cacheDir === undefined ? undefined : new DiskCopy(cacheDir, source, globs, maxBytes);
    this.#assembler = new Assembler(maxBytes, this.#readDisk());
    this.#reporter = new OutcomeReporter(connection, this.#closing.signal, (error) => {
      this.#tell({ level: 'warn', event: 'report', message: `an outcome could not be reported: ${error.message}` });
    });
    this.#staleTimer = this.#onSilence(() => {
      this.#becomeStale(`nothing was heard for ${this.#silenceMs} ms`);
    });
    if (this.current) this.#becomeStale('it is from the disk, and the server has not been heard yet');
    this.#streams = this.#followStreams();
    this.#changes = this.#onChange || this.#disk ? this.#applyChanges() : Promise.resolve();
  }

  /** The newest complete snapshot, or undefined while there is none. Answers after `close`, too. */
  get current(): Snapshot | undefined {
    return this.#assembler.held;
  }

  /**
   * True: what is held may be out of date, since nothing was heard for three heartbeats, since it is from the disk, or
   * since the watch has ended or is closed.
   */
  get stale(): boolean {
    return this.#stale || (this.#error !== undefined && this.current !== undefined);
  }

  /**
   * Resolves to what is held as soon as the server has settled it: by content, or by word that it is current. When
   * `timeoutMs` is over, to the disk copy, if there is one (`stale` is true then). Else it rejects: with a TimeoutError;
   * with the ConfstreamError that ended the watch, CANCELLED if that was `close`; or with the signal's reason.
   */
  async wait({ timeoutMs = Infinity, signal }: WaitOptions = {}): Promise<Snapshot> {
    const wait = { late: false, wake: (): void => undefined };
    const onAbort = (): void => {
      wait.wake();
    };
    const onTimeout = (): void => {
      wait.late = true;
      wait.wake();
    };
    const timer = timeoutMs > longestTimerMs ? undefined : setTimeout(onTimeout, timeoutMs);
    signal?.addEventListener('abort', onAbort);
    try {
      for (;;) {
        const { current } = this;
        if (current && this.#settled) return current;
        if (this.#error) throw this.#error;
        signal?.throwIfAborted();
        if (wait.late) {
          if (current) return current;
          throw new TimeoutError(`source ${this.source} was not there within ${timeoutMs} ms: ${this.#waitingFor}`);
        }
        await new Promise<void>((resolve) => {
          wait.wake = resolve;
          this.#sleepers.add(resolve);
        });
        this.#sleepers.delete(wait.wake);
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * The changes. While the loop's body runs versions are skipped, never the newest. The loop ends when the watch is
   * closed, and throws the ConfstreamError with which it ended by itself. Nothing is reported: use `report`.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Change, void, undefined> {
    yield* this.#eachChange();
    if (this.#error && !this.#closing.signal.aborted) throw this.#error;
  }

  /**
   * Tells the server what became of `snapshot`, for who has no `onChange`; `reason` is cut to 1024 bytes. Reports are
   * sent in the background, and again until the server has taken them or has newer ones.
   */
  report(snapshot: Snapshot, outcome: Outcome, reason = ''): void {
    this.#reporter.decide(snapshot, outcome, reason);
  }

  /**
   * Ends the watch; resolves when its stream is gone and an `onChange` that was running has returned, unless it is
   * called from that. May be called more than once.
   */
  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#error ??= new ConfstreamError('CANCELLED', 'the watch was closed');
      this.#closing.abort();
      clearTimeout(this.#staleTimer);
      this.#wakeSleepers();
      // Not before: who closes the client waits for an `onChange` that has closed its own watch, too.
      void Promise.all([this.#streams, this.#changes]).then(this.#onEnd);
    }
    await this.#streams;
    const call = callScope.getStore();
    if (call === undefined || call !== this.#runningCall) await this.#changes;
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #followStreams(): Promise<void> {
    for (;;) {
      const error = await this.#followStream();
      if (!error) return;
      if (endsWatch(error)) {
        this.#end(error);
        return;
      }
      const retryMs = Math.round(Math.max(this.#backoff.nextMs(), error.retryAfterMs));
      this.#waitingFor = `the last stream ended with ${described(error)}`;
      const message = `disconnected, next try in ${retryMs} ms: ${described(error)}`;
      this.#tell({ level: 'warn', event: 'disconnected', code: error.code, retryMs, message });
      await sleep(retryMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  #end(error: ConfstreamError): void {
    this.#error = error;
    this.#wakeSleepers();
    // After the last change; nobody waits for this, as an onChange that is running may have called `close`.
    void this.#changes.then(() => {
      this.#tell({ level: 'error', event: 'ended', code: error.code, message: `the watch ended: ${described(error)}` });
    });
  }

  /** Resolves to how the stream ended; undefined: by `close`. */
  async #followStream(): Promise<ConfstreamError | undefined> {
    const { signal } = this.#closing;
    if (signal.aborted) return undefined;
    const resumeToken = this.#assembler.beginStream();
    const { stream, channel } = this.#connection.watch(create(WatchRequestSchema, { ...this.#request, resumeToken }));
    stream.on('error', () => undefined); // the loop below hears of it, if it still listens
    const cancel = (): void => {
      stream.cancel();
    };
    signal.addEventListener('abort', cancel);
    let silence: ConfstreamError | undefined;
    // A server that hangs behind a proxy would hold the stream open for ever.
    const timer = this.#onSilence(() => {
      silence = new ConfstreamError('UNAVAILABLE', `the server sent nothing for ${this.#silenceMs} ms`);
      cancel();
    });
    let error: ConfstreamError;
    try {
      let first = true;
      for await (const message of stream as AsyncIterable<WatchResponse>) {
        if (this.#closing.signal.aborted) break;
        timer.refresh();
        this.#take(message, first);
        first = false;
      }
      error = new ConfstreamError('UNAVAILABLE', 'the server ended the stream');
    } catch (failure) {
      error = failure instanceof ConfstreamError ? failure : fromGrpc(failure);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
      cancel();
    }
    if (this.#closing.signal.aborted) return undefined;
    this.#connection.replaceIfUnconnected(channel, silence !== undefined);
    if (error instanceof Contradiction) {
      this.#assembler.forgetToken();
      this.#tell({ level: 'error', event: 'restarted', message: `starting over without a token: ${error.message}` });
    }
    return silence ?? error;
  }

  #take(message: WatchResponse, first: boolean): void {
    ++this.#heard;
    this.#staleTimer.refresh();
    if (first) {
      this.#reporter.onConnected(message.watchId);
      this.#waitingFor = `${this.#connection.address} has sent no content yet`;
      this.#tell({ level: 'info', event: 'connected', message: `connected to ${this.#connection.address}` });
    }
    const { event } = message;
    if (event.case === 'sourceStatus') this.#waitingFor = describedStatus(event.value);
    const taken = this.#assembler.take(message);
    if (taken === 'content' || event.case === 'heartbeat') this.#backoff.reset();
    if (taken !== 'nothing' && this.current) {
      this.#settled = true;
      this.#reporter.onSettled(this.current);
      if (this.#stale) {
        this.#stale = false;
        this.#tell({ level: 'info', event: 'fresh', message: `version ${this.current.version} is current` });
      }
    }
    this.#reporter.flush();
    this.#wakeSleepers();
  }

  /** `onNext` is called as soon as a change is chosen: messages may be taken before who iterates gets it. */
  async *#eachChange(onNext?: () => void): AsyncGenerator<Change, void, undefined> {
    let old: Snapshot | undefined;
    while (!this.#closing.signal.aborted) {
      const { current } = this;
      const change =
        current && current.viewDigest !== old?.viewDigest ? { old, current, fromCache: current.fromCache } : undefined;
      old = current;
      if (change) {
        onNext?.();
        yield change;
      } else if (this.#error) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#sleepers.add(resolve);
        });
      }
    }
  }

  async #applyChanges(): Promise<void> {
    const onNext = (): void => {
      if (this.#onChange) this.#reporter.forgetDecision();
    };
    for await (const change of this.#eachChange(onNext)) await this.#apply(change);
  }

  /** Calls `onChange`, tells the server what became of it, and writes the disk copy. */
  async #apply(change: Change): Promise<void> {
    const { current } = change;
    const onChange = this.#onChange;
    if (onChange) {
      const call = Symbol('onChange');
      this.#runningCall = call;
      try {
        await callScope.run(call, async () => onChange(change));
      } catch (error) {
        const reason = textOf(error);
        this.#reporter.decide(current, 'REJECTED', reason);
        const { version } = current;
        this.#tell({
          level: 'warn',
          event: 'rejected',
          version,
          message: `version ${version} was rejected: ${reason}`,
        });
        return; // a program starts with what last worked
      } finally {
        this.#runningCall = undefined;
      }
      this.#reporter.decide(current, 'APPLIED', '');
    }
    if (!this.#disk || change.fromCache) return;
    try {
      await this.#disk.write(current);
    } catch (error) {
      this.#tellOfCache('written', error);
    }
  }

  #readDisk(): Snapshot | undefined {
    try {
      return this.#disk?.read();
    } catch (error) {
      this.#tellOfCache('used, and is left alone', error);
      return undefined;
    }
  }

  #tellOfCache(what: string, error: unknown): void {
    const message = `the cache ${this.#disk?.path} could not be ${what}: ${(error as Error).message}`;
    this.#tell({ level: 'error', event: 'cache', message });
  }

  #becomeStale(why: string): void {
    if (this.#stale || !this.current) return;
    this.#stale = true;
    this.#tell({
      level: 'warn',
      event: 'stale',
      message: `version ${this.current.version} may be out of date: ${why}`,
    });
  }

  /** Calls `act` when no message has come for three heartbeats since the timer was made or refreshed. */
  #onSilence(act: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      // If the program has kept Node busy for so long, messages may be there that were not read.
      const heard = this.#heard;
      setImmediate(() => {
        if (this.#heard === heard && !this.#closing.signal.aborted) act();
      });
    }, this.#silenceMs);
    return timer.unref();
  }

  #wakeSleepers(): void {
    const sleepers = [...this.#sleepers];
    this.#sleepers.clear();
    for (const wake of sleepers) wake();
  }

  #tell(event: WatchEvent): void {
    if (this.#closing.signal.aborted) return;
    // What a server may say, and a log must not: it would be another line, or a command to the terminal.
    const message = event.message.replace(
      control,
      (found) => `\\x${found.charCodeAt(0).toString(16).padStart(2, '0')}`,
    );
    try {
      this.#log?.({ ...event, message });
    } catch {
      // A log that fails is no reason to lose the configuration.
    }
  }
}

/** What was thrown says, whatever it is. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'what was thrown cannot be shown';
  }
}

function described({ code, message }: ConfstreamError): string {
  return `${code}: ${message}`;
}

function describedStatus({ state, violations }: SourceStatus): string {
  const [violation] = violations;
  const where = violation ? `: ${violation.path}:${violation.line}: ${violation.message} (${violation.rule})` : '';
  return `the source is ${(SourceState[state] as string | undefined) ?? state}${where}`;
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return;
  throw new RangeError(`${name} is ${value}: it can be from ${least} to ${most}`);
}
