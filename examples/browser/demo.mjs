// Starts a GPU host and the pages of this example, and prints their address:
//
//   npm run build && node examples/browser/demo.mjs [--port PORT]
//
// The pages come from one port and the GPU from another, as from two machines. So the host must be told which
// pages may use it.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { servePages } from './serve-pages.mjs';

const cli = fileURLToPath(new URL('../../dist/bundle/cli/main.js', import.meta.url));

const { values: flags } = parseArgs({ options: { port: { type: 'string', default: '7080' } } });
const pages = await servePages({ port: Number(flags.port) });
const host = spawn(
  process.execPath,
  [cli, 'serve', '--listen', '127.0.0.1:0', '--dashboard', '127.0.0.1:0', '--allow-origin', pages.url],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => host.kill(signal));
host.once('exit', () => void pages.close());

createInterface({ input: host.stdout }).on('line', (line) => {
  console.log(`  ${line}`);
  const [, address] = /^dashboard: http(:\/\/\S+)/.exec(line) ?? [];
  if (address) console.log(`\nOpen ${pages.url}/?host=ws${address} in a browser. Ctrl-C ends it.`);
});
