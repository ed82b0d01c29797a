// The last good snapshot of a view, on disk.

import { createHash, randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';

import { mostOverheadBytes } from './assembler.js';
import { comparePaths, ConfigFile, digestOfView, Snapshot } from './snapshot.js';
import { WatchResponseSchema } from './gen/confstream/v1/config_service_pb.js';

const leftoverAgeMs = 600_000;

/**
 * Makes a directory, and those above it that are missing. Not by mkdir's `recursive`: where a directory is there and
 * nothing can be made in it, as in /proc, that tries for ever.
 */
async function makeDirectory(path: string): Promise<void> {
  const make = (): Promise<void> =>
    mkdir(path, 0o700).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  try {
    await make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await make();
  }
}

/** The names in a directory; none if it cannot be listed. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

export class DiskCopy {
  readonly path: string;
  readonly #source: string;
  readonly #maxBytes: number;

  /** Throws a TypeError if the source's name cannot be that of a file. */
  constructor(directory: string, source: string, globs: readonly string[], maxBytes: number) {
    if (/[/\0]/.test(source)) throw new TypeError(`source ${JSON.stringify(source)} cannot be the name of a file`);
    const view = createHash('sha256');
    for (const glob of [...new Set(globs)].sort(comparePaths)) view.update(`${glob}\n`);
    this.path = join(directory, `${source}.${view.digest('hex').slice(0, 16)}.snapshot`);
    this.#source = source;
    this.#maxBytes = maxBytes;
  }

  /** The snapshot; undefined if there is no file. Throws if the file cannot be read or is not what it should be. */
  read(): Snapshot | undefined {
    this.#removeLeftovers();
    let bytes: Buffer;
    try {
      bytes = this.#readFile();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const { header, event, moreFragments } = fromBinary(WatchResponseSchema, bytes, { readUnknownFields: false });
    if (!header || event.case !== 'snapshot' || moreFragments) throw new Error('it is no whole snapshot');
    if (header.version < 1n) throw new Error('versions begin at 1');
    if (header.source !== this.#source) throw new Error(`it is of source ${JSON.stringify(header.source)}`);
    const { viewDigest, missingGlobs } = event.value;
    const size = event.value.files.reduce((sum, file) => sum + file.content.length, 0);
    if (size > this.#maxBytes) throw new Error(`it has more than the ${this.#maxBytes} bytes that this client takes`);
    const list = event.value.files.map(({ path, content, contentType, lastChangedVersion }) => {
      // Copied: a view into `bytes` would keep all of them for as long as the file is held.
      const copy = Buffer.alloc(content.length);
      copy.set(content);
      return new ConfigFile(path, copy, contentType, Number(lastChangedVersion));
    });
    if (digestOfView(list) !== viewDigest) throw new Error('its view_digest is not that of its files');
    const files = new Map(list.map((file) => [file.path, file]));
    return Snapshot.of({ viewDigest, files, missingGlobs }, header, true);
  }

  #readFile(): Buffer {
    const descriptor = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO would hold the program up
    try {
      const found = fstatSync(descriptor);
      if (!found.isFile()) throw new Error('it is no file');
      if (found.size > this.#maxBytes + mostOverheadBytes) {
        throw new Error(`it has ${found.size} bytes, and at most ${this.#maxBytes} are taken`);
      }
      return readFileSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  /** Replaces the copy, whole or not at all. Rejects with what the file system says. */
  async write(snapshot: Snapshot): Promise<void> {
    const files = [...snapshot.files.values()].map((file) => ({
      path: file.path,
      content: file.content,
      sizeBytes: BigInt(file.content.length),
      digest: file.digest,
      contentType: file.contentType,
      lastChangedVersion: BigInt(file.lastChangedVersion),
    }));
    const { header, viewDigest, missingGlobs } = snapshot;
    const value = { files, viewDigest, missingGlobs: [...missingGlobs] };
    const bytes = toBinary(
      WatchResponseSchema,
      create(WatchResponseSchema, { header, event: { case: 'snapshot', value } }),
    );

    const directory = dirname(this.path);
    await makeDirectory(directory);
    const temporary = `${this.path}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    const entries = await open(directory, 'r');
    try {
      await entries.sync();
    } finally {
      await entries.close();
    }
  }

  // A program that was killed while it wrote has left its temporary file; one that is new may be another program's.
  #removeLeftovers(): void {
    const prefix = `${basename(this.path)}.`;
    for (const name of namesIn(dirname(this.path))) {
      if (!name.startsWith(prefix) || !name.endsWith('.tmp')) continue;
      const path = join(dirname(this.path), name);
      try {
        if (Date.now() - statSync(path).mtimeMs > leftoverAgeMs) rmSync(path);
      } catch {
        // Somebody else has removed it, or it is not ours to remove: the copy is good all the same.
      }
    }
  }
}
