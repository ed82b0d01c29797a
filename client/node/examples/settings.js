import { Client } from '@confstream/client';
import { parseYaml } from '@confstream/client/yaml';

let limit = 0;

const client = new Client(process.env['CONFSTREAM'] ?? 'unix:/run/confstream.sock');
process.once('SIGTERM', () => client.close());

const watch = client.watch('demo', {
  globs: ['settings.yaml'],
  cacheDir: process.env['CACHE_DIRECTORY'] ?? 'cache',
  log: ({ level, message }) => console.error(`${level}: ${message}`),
  onChange({ current }) {
    const file = current.files.get('settings.yaml');
    const settings = file && parseYaml(file);
    if (typeof settings?.limit !== 'number') throw new TypeError('settings.yaml: limit is to be a number');
    limit = settings.limit;
    console.log(`limit ${limit}`);
  },
});

const { version } = await watch.wait({ timeoutMs: 5000 });
console.log(`running with version ${version}${watch.stale ? ', which may be old' : ''}`);
