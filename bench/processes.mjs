// The processes that the bench starts: hosts, and programs that print what they measured.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const register = pathToFileURL(`${root}dist/client/register.js`).href;
const local = pathToFileURL(`${root}bench/local.mjs`).href;

/** Without more it keeps no uploads: what is measured is to be the same the second time. */
export async function startHost(adapter, more = ['--blobs', 'off']) {
  const child = spawn(
    process.execPath,
    [`${root}dist/cli/main.js`, 'serve', '--listen', '127.0.0.1:0', '--adapter', adapter, ...more],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      const match = /^farlight host ready: (\S+)/.exec(line);
      if (match) resolve(match[1]);
    });
    ended.then((code) => reject(new Error(`farlight serve ended with ${code}`)));
  });
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  return { url, adapter, pid: child.pid, stop };
}

/** Runs a workload on a target; resolves to what it reported. */
export async function runWorkload(workload, target, adapter, url, more = {}) {
  const env = { ...process.env, FARLIGHT_ADAPTER: adapter, BENCH_TARGET: target };
  for (const name of ['FARLIGHT_HOST', 'FARLIGHT_BATCH', 'FARLIGHT_REUSE']) delete env[name];
  if (target === 'grpc' || target === 'per-call') env.FARLIGHT_HOST = url;
  if (target === 'per-call') Object.assign(env, { FARLIGHT_BATCH: 'off', FARLIGHT_REUSE: 'off' });
  Object.assign(env, more);
  const imported = target === 'local' ? local : register;
  const { code, output } = await collect(
    ['--import', imported, `${root}bench/workloads/${workload}.mjs`],
    env,
  );
  const line = output.split('\n').findLast((text) => text.startsWith('{'));
  if (code !== 0 || !line) throw new Error(`${workload} on ${target} ended with ${code}: ${output}`);
  return JSON.parse(line);
}

/** Runs `node ARGS` to its end; resolves to its exit code and what it printed. */
async function collect(args, env) {
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += bytes;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, output };
}

/** Starts a program of bench/network/programs; it prints a line of JSON for each thing that it has to say. */
export function startProgram(name, args = [], env = {}) {
  const child = spawn(process.execPath, [`${root}bench/network/programs/${name}.mjs`, ...args.map(String)], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const said = lines[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.once('exit', resolve));
  return {
    pid: child.pid,
    /** The next thing that it says. */
    async next() {
      const { value, done } = await said.next();
      if (done) throw new Error(`${name} ended with ${await ended} before it said more`);
      return JSON.parse(value);
    },
    tell: (text) => child.stdin.write(`${text}\n`),
    stop() {
      child.kill('SIGKILL');
      return ended;
    },
  };
}
