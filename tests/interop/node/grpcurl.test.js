// grpcurl: what a person reaches for first. It knows the API by reflection only.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { startConfstreamd } from './confstreamd.js';

const timeout = 60_000;
const grpcurl = process.env.GRPCURL;
assert.ok(grpcurl, 'GRPCURL must name the program; ./dev interop does that');

async function run(...words) {
  const { stdout } = await promisify(execFile)(grpcurl, ['-plaintext', ...words], { timeout: 30_000 });
  return stdout;
}

// What every listener must answer; `at` is the address, with the flags that reach it.
async function assertAnswers(at) {
  const [target, flags] = [at.at(-1), at.slice(0, -1)];
  const services = (await run(...flags, target, 'list')).trim().split('\n');
  assert.ok(services.includes('confstream.v1.ConfigService'), services);
  assert.ok(services.includes('grpc.health.v1.Health'), services);

  const description = await run(...flags, target, 'describe', 'confstream.v1.ConfigService.Watch');
  assert.match(description, /rpc Watch.*\.confstream\.v1\.WatchRequest.*stream \.confstream\.v1\.WatchResponse/);

  const listed = JSON.parse(await run(...flags, target, 'confstream.v1.ConfigService/ListSources'));
  assert.equal(listed.sources[0].header.source, 'demo');
  assert.equal(listed.sources[0].status.state, 'SOURCE_STATE_SERVING');

  const request = JSON.stringify({ source: 'demo', until_in_sync: true });
  const watched = JSON.parse(await run(...flags, '-d', request, target, 'confstream.v1.ConfigService/Watch'));
  assert.equal(watched.reason, 'WATCH_REASON_INITIAL');
  assert.equal(watched.in_sync, true);
  assert.equal(watched.header.version, '1');
  assert.equal(Buffer.from(watched.snapshot.files[0].content, 'base64').toString(), 'x: 1\n');

  for (const service of ['', 'confstream.v1.ConfigService', 'source/demo']) {
    const asked = ['-d', JSON.stringify({ service }), target, 'grpc.health.v1.Health/Check'];
    const health = JSON.parse(await run(...flags, ...asked));
    assert.equal(health.status, 'SERVING', service);
  }
}

test('grpcurl lists, describes, watches and checks health over TCP', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1' });
  await assertAnswers([server.tcp]);
});

test('grpcurl does so over a Unix socket', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1' });
  await assertAnswers(['-unix', server.socket]);
});

test('grpcurl shows the reason of an error', { timeout }, async (t) => {
  const server = await startConfstreamd(t, { 'a.yaml': 'x: 1' });
  const request = JSON.stringify({ source: 'absent' });
  await assert.rejects(run('-d', request, server.tcp, 'confstream.v1.ConfigService/Watch'), (error) => {
    assert.match(error.stderr, /Code: NotFound/);
    assert.match(error.stderr, /absent/);
    return true;
  });
});
