// A real server with a real volume, for one test.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const repository = fileURLToPath(new URL('../../..', import.meta.url));

// Swaps the volume as kubelet does: afterwards it holds just `files`.
export function swap(volume, files) {
  const pairs = Object.entries(files).map(([key, value]) => `${key}=${value}`);
  execFileSync(join(repository, 'examples/volume-writer'), [volume, ...pairs]);
}

// Starts confstreamd with `files` as its source `demo` and resolves when it listens:
// { tcp, socket, swap(files), directory }. It ends with the test `t`.
export async function startConfstreamd(t, files) {
  const directory = mkdtempSync(join(tmpdir(), 'confstream-interop-'));
  const volume = join(directory, 'volume');
  swap(volume, files);
  const socket = join(directory, 'confstream.sock');
  const server = spawn(
    join(repository, 'build/bin/confstreamd'),
    ['--source', `demo=${volume}`, '--listen', '127.0.0.1:0', '--listen', `unix:${socket}`, '--log-format', 'json'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  t.after(async () => {
    if (server.exitCode === null && server.kill('SIGTERM')) await once(server, 'exit');
    rmSync(directory, { recursive: true });
  });
  const log = [];
  const ready = await new Promise((resolve, reject) => {
    createInterface({ input: server.stderr }).on('line', (line) => {
      log.push(line);
      const entry = JSON.parse(line);
      if (entry.message === 'ready') resolve(entry);
    });
    server.on('error', reject);
    server.on('exit', (code) => reject(new Error(`confstreamd ended with ${code}:\n${log.join('\n')}`)));
  });
  const tcp = ready.listen.split(' ').find((address) => !address.startsWith('unix:'));
  return { tcp, socket, directory, swap: (changed) => swap(volume, changed) };
}
