// `npm start`: starts a GPU host in a process of its own, runs MoveNet on it with `farlight run`, and stops
// the host. The program, examples/movenet/movenet.mjs, does not know of Farlight.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cli = path.join(root, 'dist/bundle/cli/main.js');
const picture = path.join(root, 'out/movenet.png');
mkdirSync(path.dirname(picture), { recursive: true });

console.log('Starting a GPU host in a process of its own ...');
// The host keeps no uploads, so that the demonstration leaves nothing behind and shows the same each time.
const serve = ['serve', '--listen', '127.0.0.1:0', '--contents', 'off', '--log-level', 'silent'];
const host = spawn(process.execPath, [cli, ...serve], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const hostEnded = new Promise((resolve) => host.once('exit', resolve));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => host.kill(signal));

const url = await new Promise((resolve) => {
  createInterface({ input: host.stdout }).on('line', (line) => {
    console.log(`  ${line}`);
    const ready = /^farlight host ready: (\S+)/.exec(line);
    if (ready) resolve(ready[1]);
  });
  hostEnded.then(() => resolve(undefined));
});
if (!url) process.exit(1);

const program = ['node', 'examples/movenet/movenet.mjs', '--out', picture, ...process.argv.slice(2)];
console.log(`\n$ farlight run --host ${url} --stats -- ${program.join(' ').replaceAll(`${root}`, '')}\n`);
const run = spawn(process.execPath, [cli, 'run', '--host', url, '--stats', '--', ...program], {
  cwd: root,
  stdio: 'inherit',
});
const code = await new Promise((resolve) => run.once('exit', resolve));
host.kill('SIGTERM');
await hostEnded;
process.exitCode = code ?? 1;
