// Node's client, with the protocol loaded at run time: it replaces a sub-message that comes twice, so it would lose a
// header that the server splits over two places of a message.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

import { repository, startConfstreamd } from './confstreamd.js';

const timeout = 60_000;
const definition = protoLoader.loadSync('confstream/v1/config_service.proto', {
  includeDirs: [join(repository, 'proto')],
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { ConfigService } = grpc.loadPackageDefinition(definition).confstream.v1;

function connect(t, server) {
  const client = new ConfigService(server.tcp, grpc.credentials.createInsecure());
  t.after(() => client.close());
  return client;
}

// Opens a Watch of `demo`; next() resolves to its next message.
function watch(t, client, request = {}) {
  const call = client.Watch({ source: 'demo', ...request });
  call.on('error', () => {}); // what cancel() below ends it with
  t.after(() => call.cancel());
  const messages = call[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { value, done } = await messages.next();
      assert.ok(!done, 'the stream ended');
      return value;
    },
    cancel: () => call.cancel(),
  };
}

function contents(snapshot) {
  return Object.fromEntries(snapshot.files.map((file) => [file.path, file.content.toString()]));
}

function assertWholeHeader(header, version) {
  assert.equal(header.source, 'demo');
  assert.match(header.epoch, /^[0-9a-f]{32}$/);
  assert.equal(header.version, version);
  assert.match(header.digest, /^sha256:[0-9a-f]{64}$/);
  assert.ok(header.publish_time.seconds > 0);
  assert.match(header.resume_token, /^[A-Za-z0-9_-]+$/);
  assert.equal(header.origin, 'SNAPSHOT_ORIGIN_FILES');
}

test('every snapshot has its whole header, and the first the watch id', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1', 'sub/b.txt': 'b' });
  const stream = watch(t, connect(t, server));

  const first = await stream.next();
  assert.equal(first.event, 'snapshot');
  assert.equal(first.reason, 'WATCH_REASON_INITIAL');
  assert.equal(first.in_sync, true);
  assert.equal(first.more_fragments, false);
  assert.match(first.watch_id, /^[0-9a-f]{32}$/);
  assertWholeHeader(first.header, 1);
  assert.deepEqual(contents(first.snapshot), { 'a.yaml': 'x: 1\n', 'sub/b.txt': 'b\n' });

  server.swap({ 'a.yaml': 'x: 2' });
  const second = await stream.next();
  assert.equal(second.event, 'snapshot');
  assert.equal(second.reason, 'WATCH_REASON_UPDATE');
  assert.equal(second.watch_id, '');
  assertWholeHeader(second.header, 2);
  assert.equal(second.header.epoch, first.header.epoch);
  assert.notEqual(second.header.digest, first.header.digest);
  assert.deepEqual(contents(second.snapshot), { 'a.yaml': 'x: 2\n' });
});

test('a resumed stream begins with a heartbeat, or with what was missed', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1' });
  const client = connect(t, server);
  const original = watch(t, client);
  const token = (await original.next()).header.resume_token;
  original.cancel();

  const current = watch(t, client, { resume_token: token });
  const heartbeat = await current.next();
  assert.equal(heartbeat.event, 'heartbeat');
  assert.equal(heartbeat.in_sync, true);
  assertWholeHeader(heartbeat.header, 1);
  assert.equal(heartbeat.header.resume_token, token);

  server.swap({ 'a.yaml': 'x: 2' });
  assert.equal((await current.next()).header.version, 2);
  const missed = await watch(t, client, { resume_token: token }).next();
  assert.equal(missed.event, 'snapshot');
  assert.equal(missed.reason, 'WATCH_REASON_UPDATE');
  assertWholeHeader(missed.header, 2);
});

test('an idle stream gets heartbeats with its position', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1' });
  const stream = watch(t, connect(t, server), { heartbeat_interval: { seconds: 1 } });
  const token = (await stream.next()).header.resume_token;
  for (let i = 0; i < 2; ++i) {
    const heartbeat = await stream.next();
    assert.equal(heartbeat.event, 'heartbeat');
    assert.equal(heartbeat.in_sync, true);
    assertWholeHeader(heartbeat.header, 1);
    assert.equal(heartbeat.header.resume_token, token);
  }
});

test('a file of 9 MiB arrives in fragments that a client with default limits accepts', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.txt': 'a' });
  const file = Buffer.alloc(9 << 20, 'the quick brown fox ');
  const path = join(server.directory, 'large');
  writeFileSync(path, file);
  const stream = watch(t, connect(t, server));
  await stream.next();

  server.swap({ 'a.txt': 'a', large: `@${path}` });
  const parts = [];
  let message;
  do {
    message = await stream.next();
    assert.equal(message.event, 'snapshot');
    assertWholeHeader(message.header, 2);
    assert.equal(message.in_sync, !message.more_fragments);
    parts.push(...message.snapshot.files.filter((part) => part.path === 'large'));
  } while (message.more_fragments);
  assert.ok(parts.length > 2);
  let offset = 0;
  for (const part of parts) {
    assert.equal(part.content_offset, offset);
    assert.equal(part.size_bytes, file.length);
    offset += part.content.length;
  }
  const received = Buffer.concat(parts.map((part) => part.content));
  assert.ok(received.equals(file));
  assert.equal(parts[0].digest, `sha256:${createHash('sha256').update(file).digest('hex')}`);
});

test('broken content leaves the snapshot and tells line and column', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1' });
  const stream = watch(t, connect(t, server));
  await stream.next();

  server.swap({ 'a.yaml': 'x: [1' });
  const broken = await stream.next();
  assert.equal(broken.event, 'source_status');
  assert.equal(broken.source_status.state, 'SOURCE_STATE_DEGRADED');
  assertWholeHeader(broken.header, 1);
  const [violation] = broken.source_status.violations;
  assert.equal(violation.path, 'a.yaml');
  assert.equal(violation.rule, 'yaml.syntax');
  assert.ok(violation.line > 0 && violation.column > 0);

  server.swap({ 'a.yaml': 'x: [1]' });
  let mended;
  do mended = await stream.next();
  while (mended.event !== 'snapshot');
  assertWholeHeader(mended.header, 2);
});

test('GetSnapshot and ListSources answer', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1', 'b.json': '{}' });
  const client = connect(t, server);
  const { header, snapshot } = await promisify(client.GetSnapshot.bind(client))({ source: 'demo', path_globs: ['*.json'] });
  assertWholeHeader(header, 1);
  assert.deepEqual(contents(snapshot), { 'b.json': '{}\n' });

  const { sources } = await promisify(client.ListSources.bind(client))({});
  assert.equal(sources.length, 1);
  assert.equal(sources[0].header.source, 'demo');
  assert.equal(sources[0].status.state, 'SOURCE_STATE_SERVING');
  assert.equal(sources[0].file_count, 2);
});

test('an unknown source is NOT_FOUND, with details', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1' });
  const client = connect(t, server);
  await assert.rejects(watch(t, client, { source: 'absent' }).next(), (error) => {
    assert.equal(error.code, grpc.status.NOT_FOUND);
    assert.match(error.details, /absent/);
    assert.match(String(error.metadata.get('grpc-status-details-bin')[0]), /SOURCE_NOT_FOUND/);
    return true;
  });
});
