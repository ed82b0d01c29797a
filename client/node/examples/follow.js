import { Client } from '@confstream/client';

const client = new Client(process.env['CONFSTREAM'] ?? 'localhost:50051');
const watch = client.watch('demo');
process.once('SIGTERM', () => client.close());

for await (const { current } of watch) {
  console.log(`version ${current.version}: ${current.files.get('greeting.yaml')?.text()}`);
}
