import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ConfigFile } from '@confstream/client';
import { parseYaml } from '@confstream/client/yaml';

import { snapshot, source } from './messages.js';
import { follow, ScriptedServer } from './scripted-server.js';

const files = { 'a.yaml': 'x: 1\ny: [a, b]\n', 'b.json': '{"z": null}', 'bad.yaml': 'x: [1\n', 'bad.json': '{' };

test('files are parsed, and what is wrong names the file and the place', async (t) => {
  const server = await ScriptedServer.start(t);
  const { watch } = follow(t, server);
  (await server.streams.next()).send(snapshot(1, files));
  const held = await watch.wait();
  assert.equal(held.source, source);
  const file = (path: string): ConfigFile => {
    const found = held.files.get(path);
    assert.ok(found);
    return found;
  };
  assert.deepEqual(parseYaml(file('a.yaml')), { x: 1, y: ['a', 'b'] });
  assert.deepEqual(parseYaml(file('b.json')), { z: null });
  assert.deepEqual(file('b.json').json(), { z: null });
  assert.deepEqual(
    parseYaml(file('a.yaml'), { mapAsMap: true }),
    new Map<string, unknown>([
      ['x', 1],
      ['y', ['a', 'b']],
    ]),
  );
  assert.throws(() => parseYaml(file('bad.yaml')), { name: 'SyntaxError', message: /^bad\.yaml: .*line 2/s });
  assert.throws(() => file('bad.json').json(), { name: 'SyntaxError', message: /^bad\.json: / });
});
