import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import grpc from '@grpc/grpc-js';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';

import type { Change, WatchOptions } from '@confstream/client';

import { Outcome, WatchResponseSchema } from '../dist/esm/gen/confstream/v1/config_service_pb.js';
import { heartbeat, sha256, snapshot, source, tokenOf, viewDigestOf, type Files, type Message } from './messages.js';
import { follow, Mailbox, ScriptedServer, temporaryDirectory, until } from './scripted-server.js';

const timeout = 240_000;
const one: Files = { a: 'one', 'dir/b': 'x'.repeat(100_000), empty: '', ü: 'umlaut' };
const two: Files = { a: 'two' };

function pathOf(directory: string, ...globs: string[]): string {
  const view = sha256(globs.map((glob) => `${glob}\n`).join('')).slice('sha256:'.length, 'sha256:'.length + 16);
  return join(directory, `${source}.${view}.snapshot`);
}

function write(path: string, message: Message): void {
  writeFileSync(path, toBinary(WatchResponseSchema, create(WatchResponseSchema, message)));
}

/** The files of the copy, which must be as docs/clients.md has it. */
function read(path: string): { version: bigint | undefined; token: string | undefined; files: Files } {
  const { header, event, moreFragments } = fromBinary(WatchResponseSchema, readFileSync(path));
  assert.equal(event.case, 'snapshot');
  assert.equal(moreFragments, false);
  const files = Object.fromEntries(event.value.files.map((file) => [file.path, Buffer.from(file.content).toString()]));
  assert.equal(event.value.viewDigest, viewDigestOf(files));
  for (const file of event.value.files) {
    assert.equal(file.sizeBytes, BigInt(file.content.length));
    assert.equal(file.contentOffset, 0n);
    assert.equal(file.digest, sha256(file.content));
    assert.equal(file.contentType, 'text/plain');
    assert.equal(file.lastChangedVersion, 1n);
  }
  return { version: header?.version, token: header?.resumeToken, files };
}

function recorder(): { changes: Mailbox<Change>; onChange: NonNullable<WatchOptions['onChange']> } {
  const changes = new Mailbox<Change>('change');
  return {
    changes,
    onChange: (change) => {
      changes.put(change);
    },
  };
}

test('the copy is written as the contract has it, and nothing is left beside it', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const cacheDir = join(temporaryDirectory(t), 'made', 'for it');
  const { watch } = follow(t, server, { cacheDir, globs: ['b*', 'ä', 'a', 'b*'] });
  (await server.streams.next()).send(snapshot(7, one));
  await watch.wait();
  const path = pathOf(cacheDir, 'a', 'b*', 'ä');
  await until(() => existsSync(path));
  assert.deepEqual(read(path), { version: 7n, token: tokenOf(7), files: one });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await watch.close();
  assert.equal(readdirSync(cacheDir).length, 1);
});

test(
  'without a server the copy is what a program starts with: stale, a change, and what wait returns',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    server.kill();
    const cacheDir = temporaryDirectory(t);
    write(pathOf(cacheDir), snapshot(5, one));
    const { changes, onChange } = recorder();
    const { watch, told, seen } = follow(t, server, { cacheDir, onChange });
    assert.equal(watch.current?.version, 5);
    assert.equal(watch.stale, true);
    assert.equal(seen[0]?.event, 'stale');
    const { old, current } = await changes.next();
    assert.equal(old, undefined);
    assert.equal(current.fromCache, true);
    assert.equal(current.files.get('dir/b')?.text(), one['dir/b']);
    const begin = performance.now();
    assert.equal((await watch.wait({ timeoutMs: 300 })).version, 5);
    assert.ok(performance.now() - begin > 290);
    assert.equal(watch.stale, true);

    await server.listen();
    const stream = await server.streams.next();
    assert.equal(stream.request.resumeToken, tokenOf(5));
    stream.send(snapshot(6, two));
    assert.equal((await watch.wait()).version, 6);
    await told('fresh');
    assert.equal(watch.stale, false);
    const change = await changes.next();
    assert.deepEqual([change.old?.version, change.current.version, change.current.fromCache], [5, 6, false]);
    await until(() => read(pathOf(cacheDir)).version === 6n);
  },
);

test(
  'word that the copy is current settles it; that is no change, and its outcome is reported',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const cacheDir = temporaryDirectory(t);
    write(pathOf(cacheDir), snapshot(5, one));
    const { ino } = statSync(pathOf(cacheDir));
    const { changes, onChange } = recorder();
    const { watch } = follow(t, server, { cacheDir, onChange });
    const stream = await server.streams.next();
    await changes.next();
    await assert.rejects(watch.wait({ signal: AbortSignal.timeout(100) }), { name: 'TimeoutError' });
    stream.send(heartbeat(5));
    const held = await watch.wait();
    assert.deepEqual([held.version, held.fromCache, watch.stale], [5, false, false]);
    const report = await server.reports.next();
    assert.deepEqual([report.watchId, report.version, report.outcome], [stream.watchId, 5n, Outcome.APPLIED]);
    await watch.close();
    assert.equal(changes.size, 0);
    assert.equal(statSync(pathOf(cacheDir)).ino, ino);
  },
);

const damages: Record<string, (path: string) => void> = {
  'a flipped bit': (path) => {
    const bytes = readFileSync(path);
    const at = bytes.indexOf('xxx');
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  },
  truncation: (path) => {
    writeFileSync(path, readFileSync(path).subarray(0, 50_000));
  },
  emptiness: (path) => {
    writeFileSync(path, '');
  },
  'another source': (path) => {
    write(path, { ...snapshot(5, one), header: { source: 'other', epoch: 'e1', version: 5n, resumeToken: 'x' } });
  },
  'a fragment': (path) => {
    write(path, { ...snapshot(5, one), moreFragments: true });
  },
  'another message': (path) => {
    write(path, heartbeat(5));
  },
  'too many bytes': (path) => {
    write(path, snapshot(5, { a: 'x'.repeat(2_000_001) }));
  },
};

for (const [damage, make] of Object.entries(damages)) {
  test(`a copy with ${damage} is left alone and told`, { timeout }, async (t) => {
    const server = await ScriptedServer.start(t);
    const cacheDir = temporaryDirectory(t);
    const path = pathOf(cacheDir);
    write(path, snapshot(5, one));
    make(path);
    const damaged = readFileSync(path);
    const { watch, seen } = follow(t, server, { cacheDir, maxBytes: 2_000_000 });
    assert.equal(watch.current, undefined);
    assert.equal(watch.stale, false);
    assert.equal(seen[0]?.event, 'cache');
    assert.ok(seen[0].message.includes(path), seen[0].message);
    const stream = await server.streams.next();
    assert.equal(stream.request.resumeToken, '');
    assert.deepEqual(readFileSync(path), damaged);
    stream.send(snapshot(6, two));
    await watch.wait();
    await until(() => readFileSync(path).length < 1000);
    await watch.close();
    assert.equal(read(path).version, 6n);
  });
}

test('it is written when the callback has returned, and never if that failed', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const cacheDir = temporaryDirectory(t);
  const gate = new Mailbox<boolean>('go');
  const { watch, told } = follow(t, server, {
    cacheDir,
    onChange: async () => {
      if (!(await gate.next())) throw new Error('no');
    },
  });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  await watch.wait();
  await sleep(100);
  assert.deepEqual(readdirSync(cacheDir), []);
  gate.put(true);
  await until(() => existsSync(pathOf(cacheDir)));
  stream.send(snapshot(2, two));
  gate.put(false);
  await told('rejected');
  assert.equal(watch.current?.version, 2);
  await watch.close();
  assert.equal(read(pathOf(cacheDir)).version, 1n);
});

test('a directory that cannot be written is told, and changes nothing else', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const cacheDir = join(temporaryDirectory(t), 'file');
  writeFileSync(cacheDir, '');
  const { changes, onChange } = recorder();
  const { told } = follow(t, server, { cacheDir, onChange });
  (await server.streams.next()).send(snapshot(1, one));
  await changes.next();
  assert.match((await told('cache')).message, /could not be used.*ENOTDIR/);
  assert.match((await told('cache')).message, /could not be written.*(EEXIST|ENOTDIR)/);
});

test('what a killed program has left is removed once it is old', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const cacheDir = temporaryDirectory(t);
  const [old, young, other] = [
    `${pathOf(cacheDir)}.1.tmp`,
    `${pathOf(cacheDir)}.2.tmp`,
    join(cacheDir, 'other.1.tmp'),
  ] as const;
  for (const path of [old, young, other]) writeFileSync(path, '');
  for (const path of [old, other]) utimesSync(path, 1, 1);
  follow(t, server, { cacheDir });
  assert.deepEqual([old, young, other].map(existsSync), [false, true, true]);
});

test(
  'what cannot be removed is left there, and neither the copy nor other leftovers with it',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const cacheDir = temporaryDirectory(t);
    const path = pathOf(cacheDir);
    write(path, snapshot(5, one));
    const directories = [`${path}.1.tmp`, `${path}.3.tmp`];
    const leftover = `${path}.2.tmp`;
    for (const directory of directories) mkdirSync(directory);
    writeFileSync(leftover, '');
    for (const old of [...directories, leftover]) utimesSync(old, 1, 1);
    const { watch } = follow(t, server, { cacheDir });
    assert.equal(watch.current?.version, 5);
    assert.deepEqual([...directories, leftover].map(existsSync), [true, true, false]);
  },
);

test('versions that come faster than the disk takes them are skipped, never the newest', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const cacheDir = join(temporaryDirectory(t), 'cache');
  mkdirSync(cacheDir);
  const { watch } = follow(t, server, { cacheDir });
  const stream = await server.streams.next();
  for (let version = 1; version <= 300; ++version) stream.send(snapshot(version, { a: `number ${version}` }));
  await until(() => watch.current?.version === 300);
  await until(() => existsSync(pathOf(cacheDir)) && read(pathOf(cacheDir)).version === 300n);
  stream.end(grpc.status.UNAVAILABLE);
  assert.equal((await server.streams.next()).request.resumeToken, tokenOf(300));
});
