import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import grpc from '@grpc/grpc-js';

import { Client, TimeoutError, type Change, type Snapshot } from '@confstream/client';

import { Outcome, SourceState, WatchMode } from '../dist/esm/gen/confstream/v1/config_service_pb.js';
import {
  delta,
  headerOf,
  heartbeat,
  sha256,
  snapshot,
  source,
  tokenOf,
  viewDigestOf,
  type Files,
  type Message,
} from './messages.js';
import { follow, Mailbox, ScriptedServer, temporaryDirectory, until, type ScriptedStream } from './scripted-server.js';

const timeout = 240_000;
const { status } = grpc;

const one: Files = { a: 'one', b: 'two' };
const two: Files = { a: 'one', b: 'three' };
const three: Files = { c: 'four' };

function versions({ old, current }: Change): [number | undefined, number] {
  return [old?.version, current.version];
}

function contents(held: Snapshot | undefined): Files {
  return Object.fromEntries([...(held?.files ?? [])].map(([path, file]) => [path, file.text()]));
}

/** `onChange` that keeps what it gets. */
function recorder() {
  const changes = new Mailbox<Change>('change');
  return {
    changes,
    onChange: (change: Change) => {
      changes.put(change);
    },
  };
}

test('the first content settles the watch; the request says what was asked for', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const options = {
    globs: ['a*', 'b'],
    labels: { pod: 'p1' },
    heartbeatMs: 1500,
    minUpdateIntervalMs: 250,
    mode: 'snapshot',
  } as const;
  const { watch } = follow(t, server, options);
  const stream = await server.streams.next();
  assert.equal(stream.request.source, source);
  assert.deepEqual(stream.request.pathGlobs, ['a*', 'b']);
  assert.deepEqual(stream.request.labels, { pod: 'p1' });
  assert.equal(stream.request.clientId, 'test');
  assert.equal(stream.request.mode, WatchMode.SNAPSHOT);
  assert.deepEqual(
    [stream.request.heartbeatInterval?.seconds, stream.request.heartbeatInterval?.nanos],
    [1n, 500_000_000],
  );
  assert.equal(stream.request.minUpdateInterval?.nanos, 250_000_000);
  assert.equal(stream.request.resumeToken, '');
  assert.deepEqual([watch.current, watch.stale], [undefined, false]);
  stream.send(snapshot(1, one));
  const held = await watch.wait();
  assert.equal(held, watch.current);
  assert.equal(held.version, 1);
  assert.equal(held.fromCache, false);
  assert.deepEqual(contents(held), one);
  assert.equal(await watch.wait({ timeoutMs: 0 }), held);
});

test('intervals are asked for in whole milliseconds', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  follow(t, server, { heartbeatMs: 10_000 / 3, minUpdateIntervalMs: 20_000 / 3 });
  const { heartbeatInterval, minUpdateInterval } = (await server.streams.next()).request;
  assert.deepEqual([heartbeatInterval?.seconds, heartbeatInterval?.nanos], [3n, 333_000_000]);
  assert.deepEqual([minUpdateInterval?.seconds, minUpdateInterval?.nanos], [6n, 667_000_000]);
});

test('deltas and a default client id are asked for unless told otherwise', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const client = new Client(server.address);
  t.after(() => client.close());
  client.watch(source);
  const { request } = await server.streams.next();
  assert.equal(request.mode, WatchMode.DELTA);
  assert.equal(request.clientId, 'watch.test.js');
  assert.equal(request.heartbeatInterval?.seconds, 30n);
});

test(
  'wait fails at its deadline and says what kept it: no server, or a source that is not valid',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const first = follow(t, server).watch;
    const stream = await server.streams.next();
    const violation = { path: 'a.yaml', line: 3n, rule: 'yaml.syntax', message: 'it is no YAML' };
    stream.send({
      header: headerOf(0),
      event: { case: 'sourceStatus', value: { state: SourceState.WAITING, violations: [violation] } },
    });
    await assert.rejects(first.wait({ timeoutMs: 200 }), (error) => {
      assert.ok(error instanceof TimeoutError);
      assert.equal(error.code, 'DEADLINE_EXCEEDED');
      assert.match(error.message, /within 200 ms: the source is WAITING: a\.yaml:3: it is no YAML/);
      return true;
    });
    assert.equal(first.current, undefined);
    stream.send(snapshot(1, one));
    await first.wait();

    server.kill();
    const { watch, told } = follow(t, server);
    await told('disconnected');
    await assert.rejects(watch.wait({ timeoutMs: 100 }), /UNAVAILABLE.*ECONNREFUSED/);
  },
);

test('wait ends with its signal, and with the watch', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  const aborter = new AbortController();
  const waits = [watch.wait({ signal: aborter.signal }), watch.wait()];
  const reason = new Error('enough');
  aborter.abort(reason);
  await assert.rejects(waits[0] ?? Promise.resolve(), reason);
  await assert.rejects(watch.wait({ signal: aborter.signal }), reason);
  const closed = assert.rejects(waits[1] ?? Promise.resolve(), { name: 'ConfstreamError', code: 'CANCELLED' });
  await watch.close();
  await closed;
});

test('neither a status nor a heartbeat of a source that has nothing settles', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  const stream = await server.streams.next();
  stream.send(
    { header: headerOf(0), event: { case: 'sourceStatus', value: { state: SourceState.WAITING } } },
    heartbeat(0),
  );
  await assert.rejects(watch.wait({ timeoutMs: 100 }), TimeoutError);
  stream.send(snapshot(1, one));
  await watch.wait();
});

test('the callback gets every change with the old snapshot and the new one', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { changes, onChange } = recorder();
  follow(t, server, { onChange });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  assert.deepEqual(versions(await changes.next()), [undefined, 1]);
  stream.send(delta(2, 1, one, two));
  const second = await changes.next();
  assert.deepEqual(versions(second), [1, 2]);
  assert.deepEqual([contents(second.old), contents(second.current)], [one, two]);
});

test('a slow callback misses versions, never the newest, and runs alone', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const seen: (number | undefined)[][] = [];
  let running = 0;
  const gate = new Mailbox<void>('go');
  const { watch } = follow(t, server, {
    onChange: async (change) => {
      assert.equal(++running, 1);
      seen.push(versions(change));
      await gate.next();
      --running;
    },
  });
  const stream = await server.streams.next();
  for (let version = 1; version <= 1000; ++version) {
    stream.send(snapshot(version, { a: `number ${version}` }));
    if (version === 1) await until(() => running === 1);
  }
  await until(() => watch.current?.version === 1000);
  gate.put();
  await until(() => seen.length === 2);
  gate.put();
  await until(() => running === 0);
  assert.deepEqual(seen, [
    [undefined, 1],
    [1, 1000],
  ]);
});

test('content that equals what is held is no change, but its header counts', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { changes, onChange } = recorder();
  const { watch } = follow(t, server, { onChange });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  await changes.next();
  stream.send(snapshot(2, one), delta(3, 2, one, one), heartbeat(5));
  await until(() => watch.current?.version === 5);
  stream.send(delta(6, 5, one, two));
  assert.deepEqual(versions(await changes.next()), [5, 6]);
  assert.equal(changes.size, 0);
});

test(
  'an iterator begins with what is held, misses versions while its body runs, and ends with the watch',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const { watch } = follow(t, server);
    const stream = await server.streams.next();
    stream.send(snapshot(1, one));
    await watch.wait();
    const seen: (number | undefined)[][] = [];
    for await (const change of watch) {
      seen.push(versions(change));
      if (change.current.version === 1)
        stream.send(snapshot(2, two), snapshot(3, three), snapshot(4, one), snapshot(5, two));
      await until(() => watch.current?.version === 5);
      if (change.current.version === 5) void watch.close();
    }
    assert.deepEqual(seen, [
      [undefined, 1],
      [1, 5],
    ]);
  },
);

test('an iterator throws what ended the watch, after the last change', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  stream.end(status.NOT_FOUND, 'it was removed');
  const seen: number[] = [];
  await assert.rejects(
    async () => {
      for await (const { current } of watch) seen.push(current.version);
    },
    { name: 'ConfstreamError', code: 'NOT_FOUND', message: 'it was removed' },
  );
  assert.deepEqual(seen, [1]);
});

for (const code of [
  status.OK,
  status.CANCELLED,
  status.UNAVAILABLE,
  status.INTERNAL,
  status.DATA_LOSS,
  status.RESOURCE_EXHAUSTED,
]) {
  test(`a stream that ends with ${status[code]} is resumed with the token`, { timeout }, async (t) => {
    const server = await ScriptedServer.start(t);
    const { changes, onChange } = recorder();
    const { watch, told } = follow(t, server, { onChange });
    (await server.streams.next()).send(snapshot(1, one));
    await changes.next();
    const first = follow(t, server);
    (await server.streams.next()).end(code);
    const event = await first.told('disconnected');
    assert.equal(event.code, status[code === status.OK ? status.UNAVAILABLE : code]);
    assert.ok(event.retryMs >= 0 && event.retryMs <= 100);
    const again = await server.streams.next();
    assert.equal(again.request.resumeToken, '');
    again.send(snapshot(1, one));
    await first.watch.wait();
    again.end(code);
    await first.told('disconnected');
    assert.equal((await server.streams.next()).request.resumeToken, tokenOf(1));
    assert.equal(watch.current?.version, 1);
    assert.equal((await told('connected')).level, 'info');
    assert.equal(changes.size, 0);
  });
}

for (const code of [
  status.NOT_FOUND,
  status.INVALID_ARGUMENT,
  status.OUT_OF_RANGE,
  status.FAILED_PRECONDITION,
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.UNIMPLEMENTED,
]) {
  test(`${status[code]} ends the watch; what is held stays held`, { timeout }, async (t) => {
    const server = await ScriptedServer.start(t);
    const { watch, told, seen } = follow(t, server);
    const stream = await server.streams.next();
    stream.send(snapshot(1, one));
    await watch.wait();
    stream.end(code);
    assert.equal((await told('ended')).code, status[code]);
    await sleep(250); // twice the longest first backoff
    assert.equal(server.streams.size, 0);
    assert.deepEqual(
      seen.map(({ event }) => event),
      ['connected', 'ended'],
    );
    assert.equal(watch.current?.version, 1);
    assert.equal((await watch.wait()).version, 1);
  });
}

test('wait fails with what ended the watch before it was settled', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  (await server.streams.next()).end(status.NOT_FOUND, 'there is no source demo');
  const expected = { name: 'ConfstreamError', code: 'NOT_FOUND', message: 'there is no source demo' };
  await assert.rejects(watch.wait(), expected);
  await assert.rejects(watch.wait({ timeoutMs: 0 }), expected);
});

test('the server may ask for a longer wait, a minute at most', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { told } = follow(t, server);
  const stream = await server.streams.next();
  stream.end(status.UNAVAILABLE, 'shutting down', { retryAfterMs: 700 });
  assert.equal((await told('disconnected')).retryMs, 700);
  const asked = performance.now();
  const again = await server.streams.next();
  assert.ok(again.openedAt - asked > 600);
  again.end(status.UNAVAILABLE, 'shutting down', { retryAfterMs: 3_600_000 });
  assert.equal((await told('disconnected')).retryMs, 60_000);
});

test(
  'the backoff is random, doubles with failures in a row, and starts over after a heartbeat or a version',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const { told } = follow(t, server);
    const shares: number[] = [];
    async function fail(bound: number, ...messages: Message[]): Promise<void> {
      const stream = await server.streams.next();
      stream.send(...messages);
      stream.end(status.UNAVAILABLE);
      const { retryMs } = await told('disconnected');
      assert.ok(retryMs <= bound, `${retryMs} ms is more than ${bound}`);
      shares.push(retryMs / bound);
    }
    for (const bound of [100, 200, 400, 800]) await fail(bound);
    for (let i = 0; i < 12; ++i) await fail(100, snapshot(1, one));
    for (let i = 0; i < 12; ++i) await fail(100, heartbeat(1));
    await fail(200, { header: headerOf(1), event: { case: 'sourceStatus', value: {} } });
    // Once in 2^25 runs, chance has it otherwise.
    assert.ok(Math.min(...shares) < 0.5 && Math.max(...shares) > 0.5, `these are not random: ${shares.join(' ')}`);
    assert.ok(new Set(shares).size > 10);
  },
);

test('a watch finds a server that comes later, or comes back, without gRPC holding it up', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  server.kill();
  const { watch, told } = follow(t, server);
  for (let i = 0; i < 4; ++i) await told('disconnected');
  await server.listen();
  const begin = performance.now();
  const stream = await server.streams.next();
  assert.ok(performance.now() - begin < 2000); // the bound is 1600 ms by now
  stream.send(snapshot(1, one));
  await watch.wait();
  server.kill();
  await told('disconnected');
  await server.listen();
  const again = await server.streams.next();
  assert.equal(again.request.resumeToken, tokenOf(1));
});

test(
  'silence makes the copy stale once, and the stream is given up and resumed; the server ends it',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const { watch, told, seen } = follow(t, server, { heartbeatMs: 1000 });
    const stream = await server.streams.next();
    stream.send(snapshot(1, one));
    await watch.wait();
    const begin = performance.now();
    await told('stale');
    assert.ok(performance.now() - begin > 2900);
    assert.equal(watch.stale, true);
    assert.deepEqual(contents(watch.current), one);
    await stream.cancelled;
    const second = await server.streams.next();
    assert.equal(second.request.resumeToken, tokenOf(1));
    assert.equal(watch.stale, true);
    await second.cancelled;
    const third = await server.streams.next();
    assert.equal(seen.filter(({ event }) => event === 'stale').length, 1);
    assert.match(seen.find(({ event }) => event === 'disconnected')?.message ?? '', /sent nothing for 3000 ms/);
    // A status says that the server is there, not that the copy is current.
    third.send({ header: headerOf(0), event: { case: 'sourceStatus', value: { state: SourceState.WAITING } } });
    await sleep(100);
    assert.equal(watch.stale, true);
    third.send(heartbeat(1));
    await told('fresh');
    assert.equal(watch.stale, false);
  },
);

test('the copy becomes stale while the server is away, too', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch, told } = follow(t, server, { heartbeatMs: 1000 });
  (await server.streams.next()).send(snapshot(1, one));
  await watch.wait();
  server.kill();
  await told('stale');
  await server.listen();
  (await server.streams.next()).send(snapshot(2, two));
  await told('fresh');
  assert.equal(watch.current?.version, 2);
});

test('heartbeats keep the copy fresh, even if the program keeps Node busy', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch, seen } = follow(t, server, { heartbeatMs: 1000 });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  await watch.wait();
  await sleep(2000);
  stream.send(heartbeat(1));
  await sleep(2000);
  stream.send(heartbeat(1));
  await sleep(100);
  stream.send(heartbeat(1));
  await new Promise((resolve) => setImmediate(resolve));
  const end = performance.now() + 3500;
  while (performance.now() < end);
  await sleep(50);
  assert.deepEqual(
    seen.map(({ event }) => event),
    ['connected'],
  );
  assert.equal(watch.stale, false);
});

test('a connection that is never made is given up', { timeout }, async (t) => {
  // It takes connections, and says nothing.
  const sockets = new Mailbox<Socket>('connection');
  const mute = createServer((socket) => {
    sockets.put(socket);
  }).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.after(() => mute.close());
  const { port } = mute.address() as { port: number };
  const { told } = follow(t, { address: `127.0.0.1:${port}` }, { heartbeatMs: 1000 });
  const first = await sockets.next();
  assert.equal((await told('disconnected')).code, 'UNAVAILABLE');
  const second = await sockets.next();
  first.destroy();
  second.destroy();
});

test('a lie starts the watch over without a token; the copy stays', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { changes, onChange } = recorder();
  const { watch, told } = follow(t, server, { onChange });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  await changes.next();
  const lie = delta(2, 1, one, two);
  (lie.event?.value as { viewDigest: string }).viewDigest = sha256('a lie');
  stream.send(lie);
  assert.match((await told('restarted')).message, /view digest/);
  assert.equal((await told('disconnected')).code, 'DATA_LOSS');
  await stream.cancelled;
  const again = await server.streams.next();
  assert.equal(again.request.resumeToken, '');
  assert.equal(watch.current?.version, 1);
  again.send(snapshot(2, two));
  assert.deepEqual(versions(await changes.next()), [1, 2]);
});

test('a version that is too large is refused, with the token kept', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch, told } = follow(t, server, { maxBytes: 10 });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  await watch.wait();
  stream.send(snapshot(2, { a: 'x'.repeat(11) }));
  assert.equal((await told('disconnected')).code, 'RESOURCE_EXHAUSTED');
  assert.equal((await server.streams.next()).request.resumeToken, tokenOf(1));
});

test('a message of some megabytes is taken', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  const large = { a: 'x'.repeat(5 * 2 ** 20) };
  (await server.streams.next()).send(snapshot(1, large));
  assert.equal((await watch.wait()).viewDigest, viewDigestOf(large));
});

for (const [name, bytes] of [
  ['ends within a field', [0x0a, 0x64, 0x00]],
  ['has a text that is no UTF-8', [0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe]],
] as const) {
  test(`a message that ${name} breaks the stream only`, { timeout }, async (t) => {
    const server = await ScriptedServer.start(t);
    const { watch, told } = follow(t, server);
    const stream = await server.streams.next();
    stream.send(snapshot(1, one));
    await watch.wait();
    stream.sendBytes(Buffer.from(bytes));
    await told('disconnected');
    await stream.cancelled;
    const again = await server.streams.next();
    assert.equal(again.request.resumeToken, tokenOf(1));
    again.send(delta(2, 1, one, two));
    await until(() => watch.current?.version === 2);
  });
}

test('what a newer server sends is ignored, but for the header', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  const stream = await server.streams.next();
  stream.send({ ...snapshot(1, one), reason: 99 as never }, { header: headerOf(3), inSync: true });
  await until(() => watch.current?.version === 3);
  stream.send({ header: headerOf(3), event: { case: 'sourceStatus', value: { state: 77 as never } } });
  stream.end(status.UNAVAILABLE);
  assert.equal((await server.streams.next()).request.resumeToken, tokenOf(3));
});

test(
  'a version is reported APPLIED when the callback has returned, and again on each stream',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const gate = new Mailbox<void>('go');
    follow(t, server, { onChange: () => gate.next() });
    const stream = await server.streams.next();
    stream.send(snapshot(1, one));
    await sleep(100);
    assert.equal(server.reports.size, 0);
    gate.put();
    const report = await server.reports.next();
    assert.deepEqual(
      [report.watchId, report.version, report.outcome, report.reason],
      [stream.watchId, 1n, Outcome.APPLIED, ''],
    );
    stream.end(status.UNAVAILABLE);
    const resumed = await server.streams.next();
    resumed.send(heartbeat(2, 'e2'));
    const again = await server.reports.next();
    assert.deepEqual([again.watchId, again.version, again.outcome], [resumed.watchId, 2n, Outcome.APPLIED]);
    resumed.end(status.UNAVAILABLE);
    const resync = await server.streams.next();
    resync.send(snapshot(9, one, 'e3'), heartbeat(9, 'e3'), heartbeat(9, 'e3'));
    const third = await server.reports.next();
    assert.deepEqual([third.watchId, third.version], [resync.watchId, 9n]);
    await sleep(100);
    assert.equal(server.reports.size, 0);
  },
);

test(
  'a version is reported REJECTED with the text of the failure, at most 1024 bytes of it',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    let reason = 'b is not a number';
    const { told } = follow(t, server, {
      onChange: () => {
        throw new Error(reason);
      },
    });
    const stream = await server.streams.next();
    stream.send(snapshot(1, one));
    const report = await server.reports.next();
    assert.deepEqual([report.version, report.outcome, report.reason], [1n, Outcome.REJECTED, reason]);
    assert.equal((await told('rejected')).version, 1);
    reason = `a${'ü'.repeat(2000)}`;
    stream.send(snapshot(2, two));
    assert.equal((await server.reports.next()).reason, `a${'ü'.repeat(511)}`);
  },
);

for (const [name, thrown, reason] of [
  ['null', null, 'null'],
  ['an object without a prototype', Object.create(null), 'what was thrown cannot be shown'],
  ['an error whose message is no text', Object.assign(new Error(), { message: 7 }), '7'],
] as const) {
  test(`${name} that is thrown is a rejection`, { timeout }, async (t) => {
    const server = await ScriptedServer.start(t);
    follow(t, server, {
      onChange: () => {
        throw thrown;
      },
    });
    (await server.streams.next()).send(snapshot(1, one));
    const report = await server.reports.next();
    assert.deepEqual([report.outcome, report.reason], [Outcome.REJECTED, reason]);
  });
}

for (const closesWatches of [false, true]) {
  const what = closesWatches ? 'their watches, then their client,' : 'their client';
  test(`two callbacks may close ${what} at once`, { timeout }, async (t) => {
    const server = await ScriptedServer.start(t);
    const client = new Client(server.address);
    const done = new Mailbox<string>('closed');
    let running = 0;
    for (let i = 0; i < 2; ++i) {
      const watch = client.watch(source, {
        onChange: async () => {
          ++running;
          await until(() => running === 2);
          if (closesWatches) await watch.close();
          await client.close();
          done.put('done');
        },
      });
      (await server.streams.next()).send(snapshot(1, one));
    }
    await done.next();
    await done.next();
  });
}

test(
  'what a slow callback makes of an old version is reported, and what it makes of the newest',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const gate = new Mailbox<Error | undefined>('go');
    const { watch } = follow(t, server, {
      onChange: async () => {
        const failure = await gate.next();
        if (failure) throw failure;
      },
    });
    const stream = await server.streams.next();
    stream.send(snapshot(1, one), snapshot(2, two), heartbeat(4));
    await until(() => watch.current?.version === 4);
    gate.put(new Error('no'));
    const first = await server.reports.next();
    assert.deepEqual([first.version, first.outcome], [1n, Outcome.REJECTED]);
    gate.put(undefined);
    const second = await server.reports.next();
    assert.deepEqual([second.version, second.outcome], [4n, Outcome.APPLIED]);
  },
);

/** A watch whose callback waits at `gate`; it has been given version 1, `one`, and that is reported. */
async function gated(t: TestContext) {
  const server = await ScriptedServer.start(t);
  const gate = new Mailbox<void>('go');
  const given: number[] = [];
  t.after(() => {
    for (let i = 0; i < 2; ++i) gate.put();
  });
  const { watch } = follow(t, server, {
    onChange: async ({ current }) => {
      given.push(current.version);
      await gate.next();
    },
  });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  gate.put();
  assert.equal((await server.reports.next()).version, 1n);
  return { server, gate, given, watch, stream };
}

test('content that comes back is reported once the callback has taken it again', { timeout }, async (t) => {
  const { server, gate, given, watch, stream } = await gated(t);
  stream.send(snapshot(2, two));
  await until(() => given.length === 2);
  stream.send(snapshot(3, one));
  await until(() => watch.current?.version === 3);
  await sleep(100);
  assert.equal(server.reports.size, 0);
  gate.put();
  assert.equal((await server.reports.next()).version, 2n);
  await until(() => given.length === 3);
  stream.send(heartbeat(4));
  await until(() => watch.current?.version === 4);
  await sleep(100);
  assert.equal(server.reports.size, 0);
  gate.put();
  assert.equal((await server.reports.next()).version, 4n);
  assert.deepEqual(given, [1, 2, 3]);
});

test('a report that fails is told, and tried again with the next message', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  server.reportStatus = status.NOT_FOUND;
  const { told } = follow(t, server, { onChange: () => undefined });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  await server.reports.next();
  assert.match((await told('report')).message, /refuses/);
  await sleep(100);
  assert.equal(server.reports.size, 0);
  stream.send(heartbeat(1));
  await server.reports.next();
  await told('report');
  server.reportStatus = status.OK;
  stream.send({ header: headerOf(1), event: { case: 'sourceStatus', value: {} } });
  assert.equal((await server.reports.next()).version, 1n);
  stream.send(heartbeat(1), heartbeat(1));
  await sleep(100);
  assert.equal(server.reports.size, 0);
});

test('without a callback nothing is reported but what the program reports', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  const stream = await server.streams.next();
  stream.send(snapshot(1, one), heartbeat(1));
  const held = await watch.wait();
  await sleep(100);
  assert.equal(server.reports.size, 0);
  watch.report(held, 'REJECTED', 'not today');
  const report = await server.reports.next();
  assert.deepEqual([report.version, report.outcome, report.reason], [1n, Outcome.REJECTED, 'not today']);
});

test(
  'close waits for a callback that is running, ends the stream, and nothing comes after it',
  { timeout },
  async (t) => {
    const server = await ScriptedServer.start(t);
    const gate = new Mailbox<void>('go');
    let calls = 0;
    let returned = 0;
    const { watch, seen } = follow(t, server, {
      onChange: async () => {
        ++calls;
        await gate.next();
        ++returned;
      },
    });
    const stream = await server.streams.next();
    stream.send(snapshot(1, one), snapshot(2, two));
    await until(() => calls === 1 && watch.current?.version === 2);
    const told = seen.length;
    let closed = false;
    const closing = watch.close().then(() => {
      closed = true;
    });
    await stream.cancelled;
    await sleep(100);
    assert.equal(closed, false);
    gate.put();
    await closing;
    assert.deepEqual([calls, returned], [1, 1]);
    await watch.close();
    assert.equal(watch.current?.version, 2);
    await sleep(250);
    assert.equal(server.streams.size, 0);
    assert.equal(calls, 1);
    assert.equal(seen.length, told);
  },
);

test('nothing is reported after close, whatever the callback does', { timeout }, async (t) => {
  const { server, gate, given, watch, stream } = await gated(t);
  stream.send(snapshot(2, two));
  await until(() => given.length === 2);
  const closing = watch.close();
  gate.put();
  await closing;
  if (watch.current) watch.report(watch.current, 'REJECTED');
  await sleep(100);
  assert.equal(server.reports.size, 0);
});

test('the client waits for a callback that has closed its own watch', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const gate = new Mailbox<void>('go');
  const done = new Mailbox<string>('closed');
  let returned = false;
  const { watch, client } = follow(t, server, {
    onChange: async () => {
      await watch.close();
      done.put('watch');
      await gate.next();
      returned = true;
    },
  });
  (await server.streams.next()).send(snapshot(1, one));
  await done.next();
  const closing = client.close().then(() => {
    done.put('client');
  });
  await sleep(100);
  assert.equal(done.size, 0);
  gate.put();
  await closing;
  assert.equal(returned, true);
});

test('close does not wait for the callback that calls it, even after the watch has ended', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const done = new Mailbox<string>('callback');
  const { watch, client } = follow(t, server, {
    onChange: async () => {
      await watch.close();
      await client.close();
      done.put('closed');
    },
  });
  const stream = await server.streams.next();
  stream.send(snapshot(1, one));
  assert.equal(await done.next(), 'closed');
  await watch.close();

  const ended = follow(t, server, {
    onChange: async () => {
      await sleep(200); // the stream has ended by then
      await ended.watch.close();
      done.put('closed again');
    },
  });
  const last = await server.streams.next();
  last.send(snapshot(1, one));
  last.end(status.NOT_FOUND);
  assert.equal(await done.next(), 'closed again');
});

test('close comes at once while the watch waits for its next try, or for a server', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch, told } = follow(t, server);
  (await server.streams.next()).end(status.UNAVAILABLE, '', { retryAfterMs: 30_000 });
  await told('disconnected');
  const begin = performance.now();
  await watch.close();
  assert.ok(performance.now() - begin < 1000);
});

test('the client closes its watches; await using closes, too', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  let inner: ScriptedStream;
  let outer: ScriptedStream;
  {
    await using client = new Client(server.address);
    await using watch = client.watch(source);
    inner = await server.streams.next();
    inner.send(snapshot(1, one));
    await watch.wait();
    client.watch(source);
    outer = await server.streams.next();
  }
  await inner.cancelled;
  await outer.cancelled;
  const client = new Client(server.address);
  await client.close();
  await client.close();
  assert.throws(() => client.watch(source), /the client is closed/);
});

test('two watches share one connection, which is replaced for both', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const client = new Client(server.address);
  t.after(() => client.close());
  const watches = [client.watch(source), client.watch(source, { globs: ['a'] })];
  for (let i = 0; i < 2; ++i) (await server.streams.next()).send(snapshot(1, one));
  await Promise.all(watches.map((watch) => watch.wait()));
  server.kill();
  await sleep(1000);
  await server.listen();
  for (let i = 0; i < 2; ++i) (await server.streams.next()).send(snapshot(2, two));
  await until(() => watches.every(({ current }) => current?.version === 2));
});

test('a Unix socket does as well, with a server that goes and comes', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t, `unix:${join(temporaryDirectory(t), 'confstream.sock')}`);
  const { watch, told } = follow(t, server);
  (await server.streams.next()).send(snapshot(1, one));
  await watch.wait();
  server.kill();
  await told('disconnected');
  await server.listen();
  (await server.streams.next()).send(delta(2, 1, one, two));
  await until(() => watch.current?.version === 2);
});

test('IPv6 addresses do as well', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t, '[::1]:0');
  const { watch } = follow(t, server);
  (await server.streams.next()).send(snapshot(1, one));
  await watch.wait();
});

test('what is no address, source or option is refused at once', () => {
  for (const address of [
    '',
    'localhost',
    '127.0.0.1',
    ':1',
    '::1:5',
    'host:0',
    'host:65536',
    'a b:1',
    'http://host:1',
    'unix:',
  ]) {
    assert.throws(() => new Client(address), TypeError, address);
  }
  const client = new Client('localhost:1');
  assert.throws(() => client.watch(''), /source is empty/);
  assert.throws(() => client.watch(source, { heartbeatMs: 999 }), RangeError);
  assert.throws(() => client.watch(source, { heartbeatMs: NaN }), RangeError);
  assert.throws(() => client.watch(source, { minUpdateIntervalMs: 3_600_001 }), RangeError);
  assert.throws(() => client.watch(source, { maxBytes: 0 }), RangeError);
  assert.throws(() => client.watch('../x', { cacheDir: '/nowhere' }), TypeError);
  assert.throws(() => client.watch(source, { globs: '*.yaml' as unknown as string[] }), /globs is to be an array/);
  assert.throws(() => client.watch(source, { mode: 'Delta' as 'delta' }), /mode is Delta/);
});

test('a log that throws harms nobody', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const client = new Client(server.address);
  t.after(() => client.close());
  const watch = client.watch(source, {
    log: () => {
      throw new Error('the disk is full');
    },
  });
  (await server.streams.next()).send(snapshot(1, one));
  assert.equal((await watch.wait()).viewDigest, viewDigestOf(one));
});

test('an error has the reason that the server names', { timeout }, async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  (await server.streams.next()).end(status.NOT_FOUND, 'there is no source demo', { reason: 'SOURCE_NOT_FOUND' });
  await assert.rejects(watch.wait(), { name: 'ConfstreamError', code: 'NOT_FOUND', reason: 'SOURCE_NOT_FOUND' });
});
