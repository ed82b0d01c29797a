#!/usr/bin/env node
// The conformance driver (docs/clients.md): tests/conformance starts it and reads what it prints. Needs `npm run build`.

import { setTimeout as sleep } from 'node:timers/promises';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { Client } from '@confstream/client';

const { values: flags } = parseArgs({
  options: {
    target: { type: 'string' },
    source: { type: 'string' },
    glob: { type: 'string', multiple: true, default: [] },
    mode: { type: 'string', default: 'delta' },
    heartbeat: { type: 'string', default: '30' },
    'cache-dir': { type: 'string' },
    'max-bytes': { type: 'string', default: String(2 ** 30) },
    wait: { type: 'string', default: '30' },
    reject: { type: 'string' },
    slow: { type: 'string', default: '0' },
  },
});
const { target, source, mode } = flags;
if (target === undefined || source === undefined) throw new TypeError('--target and --source are needed');
if (mode !== 'delta' && mode !== 'snapshot') throw new TypeError(`--mode is ${mode}: it can be snapshot or delta`);

/** @param {Record<string, unknown>} line */
function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** @param {import('@confstream/client').Change} change */
async function onChange({ old, current, fromCache }) {
  print({
    event: 'change',
    version: current.version,
    epoch: current.epoch,
    view_digest: current.viewDigest,
    files: Object.fromEntries([...current.files.values()].map((file) => [file.path, file.digest])),
    old_version: old?.version ?? null,
    from_cache: fromCache,
    missing_globs: current.missingGlobs,
  });
  await sleep(Number(flags.slow));
  const { reject } = flags;
  if (reject !== undefined && [...current.files.values()].some((file) => file.content.includes(reject))) {
    throw new Error(`rejected: ${reject}`);
  }
}

/** @param {import('@confstream/client').WatchEvent} event */
function log(event) {
  process.stderr.write(`${event.level}: ${event.message}\n`);
  if (event.event === 'stale' || event.event === 'fresh') print({ event: event.event });
  if (event.event === 'disconnected') print({ event: event.event, code: event.code, retry_ms: event.retryMs });
  if (event.event === 'ended') {
    print({ event: event.event, code: event.code, stale: watch.stale });
    void close();
  }
}

// The process ends by itself once nothing is left of the client: no socket, and no timer.
async function close() {
  commands.removeAllListeners();
  process.stdin.destroy();
  await client.close();
}

const client = new Client(target);
const commands = createInterface({ input: process.stdin });
const watch = client.watch(source, {
  globs: flags.glob,
  mode,
  heartbeatMs: Number(flags.heartbeat) * 1000,
  maxBytes: Number(flags['max-bytes']),
  ...(flags['cache-dir'] === undefined ? {} : { cacheDir: flags['cache-dir'] }),
  onChange,
  log,
});

async function onClose() {
  await close();
  print({ event: 'closed' });
}

commands.on('close', () => void onClose());
commands.on('line', (line) => {
  if (line === 'current') print({ event: 'current', version: watch.current?.version ?? null, stale: watch.stale });
  if (line === 'close') void onClose();
});

try {
  const { version } = await watch.wait({ timeoutMs: Number(flags.wait) * 1000 });
  print({ event: 'settled', version, stale: watch.stale });
} catch (error) {
  print({ event: 'wait_failed', message: /** @type {Error} */ (error).message });
}
