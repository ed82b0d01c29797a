// The tarball, as a program outside this folder has it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { temporaryDirectory } from './scripted-server.js';

const folder = fileURLToPath(new URL('..', import.meta.url));

function run(cwd: string, program: string, ...args: string[]): string {
  return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const esm = `
import { Client, ConfstreamError, TimeoutError, type Change, type Snapshot, type Watch, type WatchEvent } from '@confstream/client';
import { parseYaml } from '@confstream/client/yaml';

export async function main(): Promise<Snapshot> {
  const client = new Client('localhost:50051');
  const watch: Watch = client.watch('payments', {
    onChange: ({ old, current }: Change) => console.log(old?.version, current.files.get('a')?.content.length),
    log: (event: WatchEvent) => console[event.level](event.event === 'disconnected' ? event.retryMs : event.message),
  });
  for await (const { current } of watch) console.log([...current.files.values()].map((file) => parseYaml(file)));
  try {
    return await watch.wait({ timeoutMs: 5000 });
  } catch (error) {
    if (error instanceof TimeoutError || (error instanceof ConfstreamError && error.code === 'NOT_FOUND')) console.log(error.reason);
    throw error;
  } finally {
    await client.close();
  }
}
`;

test('the tarball is imported and required from an empty project, with types', { timeout: 300_000 }, (t) => {
  const project = temporaryDirectory(t);
  const [packed] = JSON.parse(
    run(folder, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', project),
  ) as [{ filename: string; files: { path: string }[] }];
  const paths = packed.files.map(({ path }) => path);
  assert.deepEqual(paths.filter((path) => !path.startsWith('dist/')).sort(), ['LICENSE', 'README.md', 'package.json']);
  for (const kind of ['esm', 'cjs']) {
    assert.ok(paths.includes(`dist/${kind}/index.d.ts`));
    assert.ok(paths.includes(`dist/${kind}/gen/confstream/v1/config_service_pb.js`));
  }

  writeFileSync(join(project, 'package.json'), '{ "private": true }');
  run(project, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', join(project, packed.filename));
  const use = 'new Client("localhost:1").watch("x").close().then(() => console.log("done", typeof TimeoutError))';
  writeFileSync(join(project, 'main.mjs'), `import { Client, TimeoutError } from '@confstream/client';\n${use};\n`);
  writeFileSync(
    join(project, 'main.cjs'),
    `const { Client, TimeoutError } = require('@confstream/client');\n${use};\n`,
  );
  for (const main of ['main.mjs', 'main.cjs']) assert.equal(run(project, process.execPath, main), 'done function\n');

  // The helper needs the package yaml, and only the helper does.
  writeFileSync(
    join(project, 'yaml.mjs'),
    "import { parseYaml } from '@confstream/client/yaml';\nconsole.log(typeof parseYaml);\n",
  );
  assert.throws(
    () => run(project, process.execPath, 'yaml.mjs'),
    /ERR_MODULE_NOT_FOUND.*'yaml'|Cannot find package 'yaml'/s,
  );
  run(project, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', 'yaml@2');
  assert.equal(run(project, process.execPath, 'yaml.mjs'), 'function\n');
  writeFileSync(join(project, 'yaml.cjs'), "console.log(typeof require('@confstream/client/yaml').parseYaml);\n");
  assert.equal(run(project, process.execPath, 'yaml.cjs'), 'function\n');

  writeFileSync(join(project, 'types.mts'), esm);
  writeFileSync(join(project, 'types.cts'), esm);
  const tsc = join(folder, 'node_modules/typescript/bin/tsc');
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
  run(project, process.execPath, tsc, ...options, 'types.mts', 'types.cts');
  writeFileSync(join(project, 'wrong.mts'), "import { Client } from '@confstream/client';\nnew Client(1);\n");
  assert.throws(() => run(project, process.execPath, tsc, ...options, 'wrong.mts'), { stdout: /TS2345/ });
});
