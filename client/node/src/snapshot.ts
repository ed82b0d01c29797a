// What a client holds: the files of a view, complete, from one version.

import { createHash } from 'node:crypto';

import { timestampDate } from '@bufbuild/protobuf/wkt';

import type { ResponseHeader } from './gen/confstream/v1/config_service_pb.js';

/** One file of a snapshot. Immutable: the bytes are shared by all snapshots that have the file, so don't change them. */
export class ConfigFile {
  /** Path relative to the source, components separated by `/`. */
  readonly path: string;
  /** The bytes. */
  readonly content: Buffer;
  /** `sha256:<hex>` of the bytes. */
  readonly digest: string;
  /** Media type by file name: application/yaml, application/json, application/toml, text/plain or application/octet-stream. */
  readonly contentType: string;
  /** The version in which this content was first published. */
  readonly lastChangedVersion: number;

  /** @internal */
  constructor(path: string, content: Buffer, contentType: string, lastChangedVersion: number) {
    this.path = path;
    this.content = content;
    this.digest = sha256(content);
    this.contentType = contentType;
    this.lastChangedVersion = lastChangedVersion;
  }

  /** The content as UTF-8. Bytes that are not UTF-8 become U+FFFD. */
  text(): string {
    return this.content.toString('utf8');
  }

  /** The content parsed as JSON. Throws a SyntaxError that names the file. */
  json(): unknown {
    try {
      return JSON.parse(this.text());
    } catch (error) {
      throw new SyntaxError(`${this.path}: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** All files of a view from one version. Immutable. */
export class Snapshot {
  /** Name of the source. */
  readonly source: string;
  /** Identity of the version history: versions compare only within an epoch. */
  readonly epoch: string;
  /** The version, from 1. */
  readonly version: number;
  /** When the version was published, by the server's clock. */
  readonly publishTime: Date | undefined;
  /** Set if an operator rolled the source back: the version whose content was published again. */
  readonly rolledBackTo: number | undefined;
  /** `sha256:<hex>` over the files. Snapshots of one view with equal digests have equal content. */
  readonly viewDigest: string;
  /** The files by path, in byte order of paths. */
  readonly files: ReadonlyMap<string, ConfigFile>;
  /** Those of the globs asked for that select no file. */
  readonly missingGlobs: readonly string[];
  /** True: read from the disk copy, and not confirmed by the server since. */
  readonly fromCache: boolean;
  /** @internal As the server sent it, with the resume token. */
  readonly header: ResponseHeader;

  private constructor(content: SnapshotContent, header: ResponseHeader, fromCache: boolean) {
    this.source = header.source;
    this.epoch = header.epoch;
    this.version = Number(header.version);
    this.publishTime = header.publishTime && timestampDate(header.publishTime);
    this.rolledBackTo = header.rolledBackTo === 0n ? undefined : Number(header.rolledBackTo);
    this.viewDigest = content.viewDigest;
    this.files = content.files;
    this.missingGlobs = content.missingGlobs;
    this.fromCache = fromCache;
    this.header = header;
    Object.freeze(this);
  }

  /** @internal */
  static of(content: SnapshotContent, header: ResponseHeader, fromCache = false): Snapshot {
    return new Snapshot(content, header, fromCache);
  }
}

/** What of a snapshot stays the same while its version moves on. */
export type SnapshotContent = Pick<Snapshot, 'viewDigest' | 'files' | 'missingGlobs'>;

/** `sha256:<hex>` of `bytes`. */
export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The view digest of `files`, which are in byte order of paths: that of the text that `sha256sum` prints for them. */
export function digestOfView(files: Iterable<ConfigFile>): string {
  const hash = createHash('sha256');
  for (const { path, digest } of files) {
    // sha256sum marks a line with a leading backslash when it has to escape the name.
    const escaped = path.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
    hash.update(`${escaped === path ? '' : '\\'}${digest.slice('sha256:'.length)}  ${escaped}\n`);
  }
  return `sha256:${hash.digest('hex')}`;
}

/** Compares paths in byte order of their UTF-8, which is not the order of `<`: that one compares UTF-16 units. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; ++i) {
    const difference = orderOfUnit(a.charCodeAt(i)) - orderOfUnit(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

// Surrogates stand for characters beyond all that one unit can stand for.
function orderOfUnit(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}
