// Whole programs: the examples, what README.md shows of them, and the conformance driver.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';

import { Outcome } from '../dist/esm/gen/confstream/v1/config_service_pb.js';
import { delta, heartbeat, sha256, snapshot, viewDigestOf, type Files } from './messages.js';
import { Mailbox, ScriptedServer, temporaryDirectory } from './scripted-server.js';

const timeout = 240_000;
const folder = new URL('..', import.meta.url);

/** A program of this folder; it is killed when the test is over. */
function start(t: TestContext, args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, args, { cwd: fileURLToPath(folder), env: { ...process.env, ...env } });
  t.after(() => child.kill('SIGKILL'));
  const lines = new Mailbox<string>('line');
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.put(line);
  });
  child.stderr.pipe(process.stderr);
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  return { child, lines, exited };
}

function text(path: string): string {
  return readFileSync(new URL(path, folder), 'utf8');
}

test('README.md shows the examples as they are, the first in less than 15 lines', () => {
  const shown = [...text('README.md').matchAll(/^```(?:js|ts)\n(.*?)^```$/gms)].map(([, code]) => code ?? '');
  const files = readdirSync(new URL('examples', folder)).map((name) => text(`examples/${name}`));
  assert.equal(shown.length, files.length);
  for (const code of shown) assert.ok(files.includes(code), `not an example: ${code}`);
  assert.ok((shown[0]?.trimEnd().split('\n').length ?? 99) < 15);
});

test('the example follow.js prints each version and ends when it is told', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { child, lines, exited } = start(t, ['examples/follow.js'], { CONFSTREAM: server.address });
  const stream = await server.streams.next();
  assert.equal(stream.request.source, 'demo');
  stream.send(snapshot(1, { 'greeting.yaml': 'greeting: hello' }));
  assert.equal(await lines.next(), 'version 1: greeting: hello');
  stream.send(snapshot(2, { 'greeting.yaml': 'greeting: bye' }));
  assert.equal(await lines.next(), 'version 2: greeting: bye');
  child.kill('SIGTERM');
  assert.equal(await exited, 0);
});

test(
  'the example settings.js applies what it can use, refuses what not, and starts from its copy',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const env = { CONFSTREAM: server.address, CACHE_DIRECTORY: temporaryDirectory(t) };
    const first = start(t, ['examples/settings.js'], env);
    const stream = await server.streams.next();
    assert.deepEqual(stream.request.pathGlobs, ['settings.yaml']);
    stream.send(snapshot(1, { 'settings.yaml': 'limit: 5' }));
    assert.deepEqual([await first.lines.next(), await first.lines.next()].sort(), [
      'limit 5',
      'running with version 1',
    ]);
    assert.equal((await server.reports.next()).outcome, Outcome.APPLIED);
    stream.send(snapshot(2, { 'settings.yaml': 'limit: many' }));
    const report = await server.reports.next();
    assert.deepEqual([report.version, report.outcome], [2n, Outcome.REJECTED]);
    assert.match(report.reason, /limit/);
    first.child.kill('SIGTERM');
    assert.equal(await first.exited, 0);

    server.kill();
    const second = start(t, ['examples/settings.js'], env);
    assert.equal(await second.lines.next(), 'limit 5');
    assert.equal(await second.lines.next(), 'running with version 1, which may be old');
    second.child.kill('SIGTERM');
    assert.equal(await second.exited, 0);
  },
);

test(
  'a process ends by itself once its watch is closed, or its client, whatever it waited for',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const program = (how: string, address = server.address) => `
    import { Client } from '@confstream/client';
    const client = new Client('${address}');
    const watch = client.watch('demo', { onChange: () => undefined });
    const wait = watch.wait({ timeoutMs: 600_000 }).catch(() => undefined);
    ${how}
    await wait;
    console.log('closed');
  `;
    for (const how of ['await wait; await watch.close();', 'await wait; await client.close();']) {
      const { lines, exited } = start(t, ['--input-type=module', '--eval', program(how)]);
      (await server.streams.next()).send(snapshot(1, { a: 'one' }));
      assert.equal(await lines.next(), 'closed');
      const begin = performance.now();
      assert.equal(await exited, 0);
      assert.ok(performance.now() - begin < 1000, `it lingered for ${performance.now() - begin} ms`);
    }
    for (const address of [server.address, '127.0.0.1:1', 'unix:/nowhere']) {
      const { lines, exited } = start(t, [
        '--input-type=module',
        '--eval',
        program('setTimeout(() => client.close(), 100);', address),
      ]);
      assert.equal(await lines.next(), 'closed');
      assert.equal(await exited, 0);
    }
  },
);

test('a process that only follows goes on while the server is away', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const follow = "import { Client } from '@confstream/client'; new Client(process.argv[1]).watch('demo');";
  const { child, exited } = start(t, ['--input-type=module', '--eval', follow, server.address]);
  (await server.streams.next()).send(snapshot(1, { a: 'one' }));
  server.kill();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(child.exitCode, null);
  await server.listen();
  await server.streams.next();
  child.kill('SIGKILL');
  assert.equal(await exited, null);
});

test('the driver prints what the contract says', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const flags = [
    '--target',
    server.address,
    '--source',
    'demo',
    '--glob',
    'a*',
    '--glob',
    'b',
    '--reject',
    'bad',
    '--wait',
    '20',
  ];
  const { child, lines, exited } = start(t, ['conformance.js', ...flags]);
  const next = async (): Promise<unknown> => JSON.parse(await lines.next());
  const stream = await server.streams.next();
  assert.deepEqual(stream.request.pathGlobs, ['a*', 'b']);
  child.stdin.write('current\n');
  assert.deepEqual(await next(), { event: 'current', version: null, stale: false });
  const [one, bad]: [Files, Files] = [{ a: 'one' }, { a: 'bad' }];
  stream.send(snapshot(1, one));
  const change = {
    event: 'change',
    version: 1,
    epoch: 'e1',
    view_digest: viewDigestOf(one),
    files: { a: sha256('one') },
    old_version: null,
    from_cache: false,
    missing_globs: [],
  };
  const settled = { event: 'settled', version: 1, stale: false };
  const both = [await next(), await next()];
  assert.ok(both.some((line) => JSON.stringify(line) === JSON.stringify(settled)));
  assert.deepEqual(
    both.find((line) => JSON.stringify(line) !== JSON.stringify(settled)),
    change,
  );
  assert.equal((await server.reports.next()).outcome, Outcome.APPLIED);
  stream.send(delta(2, 1, one, bad));
  const rejected = {
    ...change,
    version: 2,
    view_digest: viewDigestOf(bad),
    files: { a: sha256('bad') },
    old_version: 1,
  };
  assert.deepEqual(await next(), rejected);
  assert.equal((await server.reports.next()).reason, 'rejected: bad');
  stream.end(grpc.status.UNAVAILABLE);
  const { event, code, retry_ms: retryMs } = (await next()) as { event: string; code: string; retry_ms: number };
  assert.deepEqual([event, code], ['disconnected', 'UNAVAILABLE']);
  assert.ok(retryMs <= 100);
  (await server.streams.next()).send(heartbeat(3));
  child.stdin.write('current\n');
  assert.equal(((await next()) as { event: string }).event, 'current');
  child.stdin.write('close\n');
  assert.deepEqual(await next(), { event: 'closed' });
  assert.equal(await exited, 0);
});

test('the driver ends with its input, and with its watch', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const first = start(t, ['conformance.js', '--target', server.address, '--source', 'demo', '--wait', '0.1']);
  await server.streams.next();
  const failed = JSON.parse(await first.lines.next()) as { event: string; message: string };
  assert.equal(failed.event, 'wait_failed');
  first.child.stdin.end();
  assert.deepEqual(JSON.parse(await first.lines.next()), { event: 'closed' });
  assert.equal(await first.exited, 0);

  const second = start(t, ['conformance.js', '--target', server.address, '--source', 'demo']);
  const stream = await server.streams.next();
  stream.end(grpc.status.PERMISSION_DENIED);
  const events = [await second.lines.next(), await second.lines.next()].map(
    (line) => (JSON.parse(line) as { event: string }).event,
  );
  assert.deepEqual(events.sort(), ['ended', 'wait_failed']);
  assert.equal(await second.exited, 0);
  assert.equal(second.lines.size, 0);
});
