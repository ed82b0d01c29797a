// Puts the messages of a Watch stream together into whole snapshots, and believes none of them unchecked.

import { create } from '@bufbuild/protobuf';

import { ConfstreamError, Contradiction } from './errors.js';
import { comparePaths, ConfigFile, digestOfView, Snapshot } from './snapshot.js';
import {
  ResponseHeaderSchema,
  type ConfigFile as FilePart,
  type Delta,
  type ResponseHeader,
  type Snapshot as SnapshotPart,
  type WatchResponse,
} from './gen/confstream/v1/config_service_pb.js';

/**
 * What a message brought: a complete version; word that what is held is current; or neither, as a fragment that is not
 * the last, a status, or an event not known.
 */
export type Taken = 'content' | 'current' | 'nothing';

/** For the names and types of a version's files, besides `maxBytes` for their content. */
export const mostOverheadBytes = 64 * 2 ** 20;
const overheadOfFile = 200; // besides its content, path and type

type Content = { case: 'snapshot'; value: SnapshotPart } | { case: 'delta'; value: Delta };

/** A version of which some fragments are here. */
interface Pending {
  readonly header: ResponseHeader;
  readonly content: Content;
  /** Of a delta: its changed files. */
  readonly files: ConfigFile[];
  readonly removed: Set<string>;
  bytes: number;
  overhead: number;
  /** The file that is being received, if its end has not come yet. */
  partial?: { readonly part: FilePart; readonly bytes: Buffer; received: number } | undefined;
}

/**
 * Follows the streams of one view, one after another. What was completed stays held, whatever happens to later streams.
 */
export class Assembler {
  readonly #maxBytes: number;
  #held: Snapshot | undefined;
  #token: string;
  #pending: Pending | undefined;
  /** The stream stands on what is held: it was resumed with its token, or has completed it. */
  #based = false;
  /** The last version of which this stream told; the epoch is empty if it told of none. */
  #streamEpoch = '';
  #streamVersion = 0n;

  /** Refuses versions of more than `maxBytes` of content. `held` is what a disk copy has. */
  constructor(maxBytes: number, held?: Snapshot) {
    this.#maxBytes = maxBytes;
    this.#held = held;
    this.#token = held?.header.resumeToken ?? '';
  }

  /** The last complete snapshot. It is replaced when the version moves on without other content, too. */
  get held(): Snapshot | undefined {
    return this.#held;
  }

  /** A new stream begins: forgets a version that was left half sent. Returns the token to begin with; empty: none. */
  beginStream(): string {
    this.#pending = undefined;
    this.#streamEpoch = '';
    this.#streamVersion = 0n;
    this.#based = this.#token !== '';
    return this.#token;
  }

  /** The next stream begins without a token. */
  forgetToken(): void {
    this.#token = '';
  }

  /**
   * Takes the next message of the stream. Throws a Contradiction if it contradicts itself, those before it or the digest, or
   * needs content that is not held; RESOURCE_EXHAUSTED if the version has more than `maxBytes`. The stream is of no more
   * use then, and after a Contradiction neither is the token.
   */
  take(message: WatchResponse): Taken {
    const header = message.header ?? create(ResponseHeaderSchema);
    const { event } = message;
    if (event.case !== 'snapshot' && event.case !== 'delta') {
      if (this.#pending) throw contradiction(this.#pending.header, 'another message came between its fragments');
      return this.#moveOn(header, message.inSync);
    }
    const pending = this.#pending ? this.#checkContinues(this.#pending, header, event) : this.#begin(header, event);
    const parts = event.case === 'delta' ? event.value.changedFiles : event.value.files;
    for (const part of parts) this.#addPart(pending, part);
    if (event.case === 'delta') this.#addRemovals(pending, event.value.removedPaths);
    if (message.moreFragments) return 'nothing';
    this.#finish(pending, header, event.value.missingGlobs);
    return 'content';
  }

  #begin(header: ResponseHeader, content: Content): Pending {
    if (header.version < 1n) throw contradiction(header, 'versions begin at 1');
    if (header.epoch === this.#streamEpoch && header.version <= this.#streamVersion) {
      throw contradiction(header, `version ${this.#streamVersion} came before it`);
    }
    if (content.case === 'delta') {
      const { baseVersion } = content.value;
      if (!this.#based || this.#held?.header.version !== baseVersion) {
        throw contradiction(header, `it is a delta against version ${baseVersion}, which is not the one held`);
      }
    }
    this.#pending = { header, content, files: [], removed: new Set(), bytes: 0, overhead: 0 };
    return this.#pending;
  }

  #checkContinues(pending: Pending, header: ResponseHeader, content: Content): Pending {
    const begun = pending.content;
    const continues =
      content.case === begun.case &&
      header.epoch === pending.header.epoch &&
      header.version === pending.header.version &&
      content.value.viewDigest === begun.value.viewDigest &&
      (content.case !== 'delta' || begun.case !== 'delta' || content.value.baseVersion === begun.value.baseVersion);
    if (!continues) throw contradiction(pending.header, 'a fragment of something else came before its end');
    return pending;
  }

  #addPart(pending: Pending, part: FilePart): void {
    const { header, files } = pending;
    const name = JSON.stringify(part.path);
    if (pending.partial) {
      const { part: begun, received } = pending.partial;
      const continues =
        part.path === begun.path &&
        part.sizeBytes === begun.sizeBytes &&
        part.digest === begun.digest &&
        part.contentOffset === BigInt(received);
      if (!continues) {
        const where = `${name} from byte ${part.contentOffset}`;
        throw contradiction(header, `after byte ${received} of file ${JSON.stringify(begun.path)} comes ${where}`);
      }
    } else {
      const previous = files.at(-1);
      if (part.path === '') throw contradiction(header, 'a file without a path');
      if (previous && comparePaths(part.path, previous.path) <= 0) {
        throw contradiction(header, `file ${name} comes after ${JSON.stringify(previous.path)}`);
      }
      if (part.contentOffset !== 0n) throw contradiction(header, `file ${name} begins at byte ${part.contentOffset}`);
      if (part.sizeBytes < 0n) throw contradiction(header, `file ${name} has ${part.sizeBytes} bytes`);
      // By what is announced, so before room is made for it.
      pending.bytes += Number(part.sizeBytes);
      pending.overhead += overheadOf(part);
      this.#checkSize(header, pending.bytes, pending.overhead);
      pending.partial = { part, bytes: Buffer.alloc(Number(part.sizeBytes)), received: 0 };
    }

    const { partial } = pending;
    if (partial.received + part.content.length > partial.bytes.length) {
      throw contradiction(header, `file ${name} is longer than its ${partial.bytes.length} bytes`);
    }
    // Copied: a view into the message would keep all of it in memory for as long as the file is held.
    partial.bytes.set(part.content, partial.received);
    partial.received += part.content.length;
    if (partial.received < partial.bytes.length) return;
    const file = new ConfigFile(part.path, partial.bytes, part.contentType, Number(part.lastChangedVersion));
    if (file.digest !== part.digest) {
      throw contradiction(header, `the bytes of file ${name} have the digest ${file.digest}, not ${part.digest}`);
    }
    files.push(file);
    pending.partial = undefined;
  }

  #addRemovals(pending: Pending, paths: readonly string[]): void {
    for (const path of paths) {
      // This also bounds what is kept.
      if (!this.#held?.files.has(path)) {
        throw contradiction(pending.header, `it removes file ${JSON.stringify(path)}, which is not there`);
      }
      pending.removed.add(path);
    }
  }

  #finish(pending: Pending, header: ResponseHeader, missingGlobs: string[]): void {
    if (pending.partial) {
      throw contradiction(header, `file ${JSON.stringify(pending.partial.part.path)} ends before its last byte`);
    }
    const list = pending.content.case === 'delta' ? this.#applyDelta(pending) : pending.files;
    const viewDigest = digestOfView(list);
    const announced = pending.content.value.viewDigest;
    if (viewDigest !== announced) {
      throw contradiction(header, `its files have the view digest ${viewDigest}, not ${announced}`);
    }
    const files = new Map(list.map((file) => [file.path, file]));
    this.#held = Snapshot.of({ viewDigest, files, missingGlobs }, header);
    this.#token = header.resumeToken;
    this.#streamEpoch = header.epoch;
    this.#streamVersion = header.version;
    this.#based = true;
    this.#pending = undefined;
  }

  #applyDelta({ header, files: changed, removed }: Pending): ConfigFile[] {
    const files = new Map(this.#held?.files);
    for (const path of removed) files.delete(path);
    for (const file of changed) files.set(file.path, file);
    let bytes = 0;
    let overhead = 0;
    for (const file of files.values()) {
      bytes += file.content.length;
      overhead += overheadOf(file);
    }
    this.#checkSize(header, bytes, overhead);
    return [...files.values()].sort((a, b) => comparePaths(a.path, b.path));
  }

  #checkSize(header: ResponseHeader, bytes: number, overhead: number): void {
    if (bytes <= this.#maxBytes && overhead <= mostOverheadBytes) return;
    const text = `${nameOf(header)} has more than the ${this.#maxBytes} bytes that this client takes`;
    throw new ConfstreamError('RESOURCE_EXHAUSTED', text);
  }

  #moveOn(header: ResponseHeader, inSync: boolean): Taken {
    if (header.version < 0n) throw contradiction(header, 'versions begin at 1');
    if (header.version === 0n) return 'nothing';
    if (!this.#based || !this.#held) {
      // Without content a token would claim what this client does not have.
      if (inSync) throw contradiction(header, 'it is called in sync, but was never sent');
      return 'nothing';
    }
    if (header.epoch === this.#streamEpoch && header.version < this.#streamVersion) {
      throw contradiction(header, `version ${this.#streamVersion} came before it`);
    }
    this.#streamEpoch = header.epoch;
    this.#streamVersion = header.version;
    if (header.resumeToken !== '') this.#token = header.resumeToken;
    const { epoch, version, fromCache } = this.#held;
    const confirmed = fromCache && inSync;
    if (header.epoch !== epoch || header.version !== BigInt(version) || confirmed) {
      this.#held = Snapshot.of(this.#held, header, fromCache && !confirmed);
    }
    return inSync ? 'current' : 'nothing';
  }
}

function overheadOf({ path, contentType }: Pick<ConfigFile, 'path' | 'contentType'>): number {
  return Buffer.byteLength(path) + contentType.length + overheadOfFile;
}

function nameOf(header: ResponseHeader): string {
  return `version ${header.version} of source ${JSON.stringify(header.source)}`;
}

function contradiction(header: ResponseHeader, what: string): Contradiction {
  return new Contradiction(`the server sent ${nameOf(header)} wrong: ${what}`);
}
