import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

import { create } from '@bufbuild/protobuf';

import { Assembler } from '../dist/esm/assembler.js';
import { ConfstreamError } from '../dist/esm/errors.js';
import { comparePaths } from '../dist/esm/snapshot.js';
import { WatchResponseSchema } from '../dist/esm/gen/confstream/v1/config_service_pb.js';
import {
  delta,
  headerOf,
  heartbeat,
  sha256,
  snapshot,
  source,
  tokenOf,
  viewDigestOf,
  wireFile,
  type Files,
  type Message,
} from './messages.js';
import { temporaryDirectory } from './scripted-server.js';

const one: Files = { a: 'one', b: 'two', 'dir/c': 'three' };
const two: Files = { a: 'one', b: 'changed', 'dir/d': 'added' };

function take(assembler: Assembler, ...messages: Message[]) {
  return messages.map((message) => assembler.take(create(WatchResponseSchema, message)));
}

/** An assembler that holds version 1, `one`, and has a stream open. */
function holding(maxBytes = 1000): Assembler {
  const assembler = new Assembler(maxBytes);
  assembler.beginStream();
  take(assembler, snapshot(1, one));
  return assembler;
}

function contents(assembler: Assembler): Files {
  return Object.fromEntries([...(assembler.held?.files ?? [])].map(([path, file]) => [path, file.text()]));
}

/** Asserts that the messages are refused, for this reason, and that what was held still is. */
function refuses(assembler: Assembler, why: RegExp, ...messages: Message[]): void {
  const { held } = assembler;
  assert.throws(
    () => take(assembler, ...messages),
    (error) => error instanceof ConfstreamError && error.code === 'DATA_LOSS' && why.test(error.message),
  );
  assert.equal(assembler.held, held);
}

/** `snapshot(version, files)` in fragments of `size` bytes of content at most. */
function fragments(version: number, files: Files, size: number): Message[] {
  const parts = Object.entries(files).flatMap(([path, text]) => {
    const froms = Array.from({ length: Math.max(1, Math.ceil(text.length / size)) }, (_, i) => i * size);
    return froms.map((from) => wireFile(path, text, from, from + size));
  });
  return parts.map((part, i) => ({
    header: headerOf(version),
    moreFragments: i < parts.length - 1,
    inSync: i === parts.length - 1,
    event: { case: 'snapshot', value: { files: [part], viewDigest: viewDigestOf(files) } },
  }));
}

interface Content {
  files: ReturnType<typeof wireFile>[];
  viewDigest: string;
}

/** A snapshot with what `change` makes of its content. */
function changed(change: (content: Content) => void, version = 2, files = two): Message {
  const message = snapshot(version, files);
  change(message.event?.value as Content);
  return message;
}

test('a snapshot is held with its files, header and token', () => {
  const assembler = new Assembler(1000);
  assert.equal(assembler.beginStream(), '');
  assert.deepEqual(take(assembler, snapshot(3, one)), ['content']);
  const { held } = assembler;
  assert.equal(held?.version, 3);
  assert.equal(held.epoch, 'e1');
  assert.equal(held.source, source);
  assert.equal(held.viewDigest, viewDigestOf(one));
  assert.deepEqual([...held.files.keys()], ['a', 'b', 'dir/c']);
  assert.equal(held.files.get('b')?.digest, sha256('two'));
  assert.deepEqual(contents(assembler), one);
  assert.equal(assembler.beginStream(), tokenOf(3));
});

test('the view digest is what sha256sum prints for the paths in byte order', (t) => {
  const files: Files = { 'back\\slash': 'x', '\u{1f600}': 'astral', '\uffee': 'bmp', ü: 'umlaut', a: '' };
  const directory = temporaryDirectory(t);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  const script = '(LC_ALL=C; sha256sum $(find * -type f | LC_ALL=C sort)) | sha256sum';
  const printed = execFileSync('bash', ['-c', script], { cwd: directory, encoding: 'utf8' }).slice(0, 64);

  const assembler = new Assembler(1000);
  assembler.beginStream();
  const message = changed((content) => (content.viewDigest = `sha256:${printed}`), 1, files);
  assert.deepEqual(take(assembler, message), ['content']);
});

test('paths compare by their UTF-8, as a server orders them', () => {
  const paths = [
    '',
    'a',
    'a/b',
    'ab',
    'z',
    'ü',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '\u{10000}',
    '\u{10ffff}',
    'z\u{10000}',
    'z\ue000',
  ];
  for (const a of paths) {
    for (const b of paths) {
      assert.equal(
        Math.sign(comparePaths(a, b)),
        Buffer.compare(Buffer.from(a), Buffer.from(b)),
        JSON.stringify([a, b]),
      );
    }
  }
});

test('fragments of every size are put together', () => {
  const files: Files = { a: 'x'.repeat(10), b: '', c: 'y'.repeat(7), d: '' };
  for (let size = 1; size <= 11; ++size) {
    const assembler = new Assembler(17);
    assembler.beginStream();
    const messages = fragments(1, files, size);
    const taken = take(assembler, ...messages);
    assert.deepEqual(taken, [...messages.slice(1).map(() => 'nothing'), 'content']);
    assert.deepEqual(contents(assembler), files);
  }
});

test('a version that was left half sent is forgotten, and its token with it', () => {
  const assembler = holding();
  take(assembler, ...fragments(2, two, 3).slice(0, 3));
  assert.equal(assembler.held?.version, 1);
  assert.equal(assembler.beginStream(), tokenOf(1));
  take(assembler, ...fragments(2, two, 3));
  assert.deepEqual(contents(assembler), two);
});

test('deltas change, add and remove files, and empty the view', () => {
  const assembler = holding();
  assert.deepEqual(take(assembler, delta(2, 1, one, two)), ['content']);
  assert.deepEqual(contents(assembler), two);
  assert.deepEqual([...(assembler.held?.files.keys() ?? [])], ['a', 'b', 'dir/d']);
  take(assembler, delta(5, 2, two, {}), delta(6, 5, {}, { ä: 'back', a: 'x' }));
  assert.deepEqual(contents(assembler), { a: 'x', ä: 'back' });
  assert.equal(assembler.beginStream(), tokenOf(6));
});

test('content is copied out of the message', () => {
  const assembler = holding();
  const message = create(WatchResponseSchema, snapshot(2, one));
  assembler.take(message);
  assert.equal(message.event.case, 'snapshot');
  message.event.value.files.forEach((file) => file.content.fill(0));
  assert.deepEqual(contents(assembler), one);
});

test('what contradicts itself is refused, and what was held stays', () => {
  refuses(
    holding(),
    /view digest/,
    changed((content) => (content.viewDigest = sha256('a lie'))),
  );
  refuses(
    holding(),
    /digest/,
    changed((content) => (content.files[0] = { ...wireFile('a', 'one'), digest: sha256('') })),
  );
  refuses(
    holding(),
    /longer than its 2 bytes/,
    changed((content) => (content.files[0] = { ...wireFile('a', 'one'), sizeBytes: 2n })),
  );
  refuses(
    holding(),
    /after byte 3 of file "a"/,
    changed((content) => (content.files[0] = { ...wireFile('a', 'one'), sizeBytes: 4n })),
  );
  refuses(
    holding(),
    /has -1 bytes/,
    changed((content) => (content.files[0] = { ...wireFile('a', 'one'), sizeBytes: -1n })),
  );
  refuses(
    holding(),
    /begins at byte 1/,
    changed((content) => (content.files[0] = wireFile('a', 'one', 1))),
  );
  refuses(
    holding(),
    /comes after/,
    changed((content) => content.files.reverse()),
  );
  refuses(
    holding(),
    /comes after/,
    changed((content) => (content.files[1] = wireFile('a', 'one'))),
  );
  refuses(
    holding(),
    /without a path/,
    changed((content) => (content.files[0] = wireFile('', 'one'))),
  );
  refuses(
    holding(),
    /ends before its last byte/,
    changed((content) => (content.files[2] = wireFile('dir/d', 'added', 0, 3))),
  );
  refuses(holding(), /version 1 came before/, snapshot(1, two));
  refuses(holding(), /begin at 1/, snapshot(0, two));
  refuses(holding(), /against version 3/, delta(4, 3, one, two));
  refuses(holding(), /removes file "x"/, delta(2, 1, { ...one, x: '' }, two));
});

test('what breaks into a version is refused', () => {
  const [begin] = fragments(2, two, 100) as [Message];
  const other = (change: object): Message => ({ ...begin, ...change });
  refuses(holding(), /another message came between/, begin, heartbeat(1));
  refuses(holding(), /another message came between/, begin, { header: headerOf(1) });
  refuses(holding(), /something else/, begin, other({ header: headerOf(3) }));
  refuses(holding(), /something else/, begin, other({ header: headerOf(2, 'e2') }));
  refuses(
    holding(),
    /something else/,
    begin,
    changed((content) => (content.viewDigest = sha256(''))),
  );
  refuses(holding(), /something else/, begin, delta(2, 1, one, two));
  refuses(
    holding(),
    /comes "a" from byte 0/,
    {
      ...begin,
      event: { case: 'snapshot', value: { files: [wireFile('a', 'one', 0, 1)], viewDigest: viewDigestOf(two) } },
    },
    begin,
  );
});

test('a delta counts only against what the stream stands on', () => {
  const nothing = new Assembler(1000);
  nothing.beginStream();
  refuses(nothing, /not the one held/, delta(2, 1, one, two));
  const startedOver = holding();
  startedOver.forgetToken();
  assert.equal(startedOver.beginStream(), '');
  refuses(startedOver, /not the one held/, delta(2, 1, one, two));
  const resumed = holding();
  resumed.beginStream();
  assert.deepEqual(take(resumed, delta(2, 1, one, two)), ['content']);
});

test('versions of another epoch, and of another stream, may be lower', () => {
  const assembler = new Assembler(1000);
  assembler.beginStream();
  take(assembler, snapshot(7, one), snapshot(1, two, 'e2'));
  assert.equal(assembler.held?.epoch, 'e2');
  assembler.beginStream();
  take(assembler, snapshot(1, one, 'e2'));
  assert.deepEqual(contents(assembler), one);
});

test('a version moves on without content, by whatever message says so', () => {
  const assembler = holding();
  assert.deepEqual(take(assembler, heartbeat(2), { header: headerOf(4), inSync: true }), ['current', 'current']);
  assert.equal(assembler.held?.version, 4);
  assert.deepEqual(contents(assembler), one);
  assert.equal(assembler.beginStream(), tokenOf(4));
  assert.deepEqual(take(assembler, delta(5, 4, one, two)), ['content']);
});

test('a server that has nothing yet moves nothing', () => {
  const assembler = holding();
  assembler.beginStream();
  assert.deepEqual(take(assembler, { header: headerOf(0), event: { case: 'sourceStatus', value: {} } }, heartbeat(0)), [
    'nothing',
    'nothing',
  ]);
  assert.equal(assembler.held?.version, 1);
  assert.equal(assembler.beginStream(), tokenOf(1));
});

test('in sync with what was never sent is a contradiction', () => {
  const nothing = new Assembler(1000);
  nothing.beginStream();
  refuses(nothing, /never sent/, heartbeat(1));
  const startedOver = holding();
  startedOver.forgetToken();
  startedOver.beginStream();
  refuses(startedOver, /never sent/, heartbeat(2));
});

test('names that a delta makes too long are refused', () => {
  const tooLarge = (error: unknown) => error instanceof ConfstreamError && error.code === 'RESOURCE_EXHAUSTED';
  const paths = Array.from({ length: 80 }, (_, i) => `${i}${'x'.repeat(2 ** 20)}`);
  const before: Files = Object.fromEntries(paths.slice(0, 40).map((path) => [path, '']));
  const after: Files = Object.fromEntries(paths.map((path) => [path, '']));
  const assembler = new Assembler(1000);
  assembler.beginStream();
  take(assembler, snapshot(1, before));
  assert.throws(() => take(assembler, delta(2, 1, before, after)), tooLarge);
  assert.equal(assembler.held?.version, 1);
});

test('more than the client takes is refused by what is announced, or when a delta is applied; the token stays', () => {
  const tooLarge = (error: unknown) => error instanceof ConfstreamError && error.code === 'RESOURCE_EXHAUSTED';
  const assembler = holding(20);
  const large: Message = {
    header: headerOf(2),
    moreFragments: true,
    event: { case: 'snapshot', value: { files: [{ path: 'a', sizeBytes: 1n << 50n }], viewDigest: viewDigestOf(one) } },
  };
  assert.throws(() => take(assembler, large), tooLarge);
  assert.equal(assembler.beginStream(), tokenOf(1));
  assert.throws(() => take(assembler, delta(2, 1, one, { ...one, e: 'x'.repeat(10) })), tooLarge);
  assert.equal(assembler.beginStream(), tokenOf(1));
  take(assembler, delta(2, 1, one, { ...one, e: 'x'.repeat(9) }));
  assert.equal(assembler.held?.version, 2);
});
