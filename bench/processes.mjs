// The processes that the bench starts: hosts, and programs that print what they measured.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const register = pathToFileURL(`${root}dist/bundle/client/register.js`).href;
const local = pathToFileURL(`${root}bench/local.mjs`).href;

/** By default the host keeps no uploads: the second measurement must find the same state. */
export async function startHost(adapter, more = ['--contents', 'off'], env = {}) {
  const child = spawn(
    process.execPath,
    [
      `${root}dist/bundle/cli/main.js`,
      'serve',
      '--listen',
      '127.0.0.1:0',
      '--log-level',
      'silent',
      '--dashboard',
      '127.0.0.1:0',
      '--adapter',
      adapter,
      ...more,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout });
  let dashboard;
  const url = await new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      const [, ready] = /^farlight host ready: (\S+)/.exec(line) ?? [];
      if (ready) resolve(ready);
      dashboard ??= /^dashboard: (http\S+)/.exec(line)?.[1];
    });
    ended.then((code) => reject(new Error(`farlight serve ended with ${code}`)));
  });
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  /** Resolves when the host has compiled ahead for a program that has not come yet. */
  const prepared = async () => {
    while (!dashboard || (await (await fetch(`${dashboard}/host.json`)).json()).executors.warm === 0)
      await setTimeout(100);
  };
  return { url, adapter, pid: child.pid, prepared, stop };
}

/** Runs a workload on a target; resolves to what it reported. */
export async function runWorkload(workload, target, adapter, url, more = {}) {
  const program = startWorkload(workload, target, adapter, url, more);
  try {
    return await program.next();
  } finally {
    await program.stop();
  }
}

/** Options of Node for a workload, from docs/recipes.md. */
const NODE_OPTIONS = { silero: ['--liftoff-only'], 'paddle-cls': ['--liftoff-only'] };

/** Starts a workload on a target. */
export function startWorkload(workload, target, adapter, url, more = {}) {
  const env = { ...process.env, FARLIGHT_ADAPTER: adapter, BENCH_TARGET: target };
  for (const name of ['FARLIGHT_HOST', 'FARLIGHT_GROUPING', 'FARLIGHT_REUSE', 'FARLIGHT_AHEAD'])
    delete env[name];
  if (target === 'host' || target === 'per-call') env.FARLIGHT_HOST = url;
  if (target === 'per-call') Object.assign(env, { FARLIGHT_GROUPING: 'off', FARLIGHT_REUSE: 'off' });
  const imported = target === 'local' ? local : register;
  const options = NODE_OPTIONS[workload] ?? [];
  const args = [...options, '--import', imported, `${root}bench/workloads/${workload}.mjs`];
  // The bench does not print what frameworks write to stderr.
  return start(`${workload} on ${target}`, args, { ...env, ...more }, 'ignore');
}

/** Starts a program of bench/network/programs. */
export function startProgram(name, args = []) {
  const file = `${root}bench/network/programs/${name}.mjs`;
  return start(name, [file, ...args.map(String)], process.env, 'inherit');
}

/** Starts `node ARGS`, which prints a line of JSON for each result. */
function start(name, args, env, stderr) {
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', stderr] });
  // A process that has ended cannot be told anything; `next` reports its end.
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.once('exit', resolve));
  return {
    pid: child.pid,
    /** The next result that it prints. */
    async next() {
      for (;;) {
        const { value, done } = await lines.next();
        if (done) throw new Error(`${name} ended with ${await ended}, and reported no measurement`);
        // Frameworks print lines of their own, too.
        if (value.startsWith('{')) return JSON.parse(value);
      }
    },
    tell: (text) => child.stdin.write(`${text}\n`),
    stop() {
      child.kill('SIGKILL');
      return ended;
    },
  };
}
