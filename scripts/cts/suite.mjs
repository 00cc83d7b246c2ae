// The WebGPU conformance test suite, as the commands of this folder and scripts/cts.mjs run it. docs/conformance.md says how
// to get it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** How many lines of a failure's log to keep: the reason comes first, then the stack. */
const LOG_LINES = 12;

const folder = mkdtempSync(join(tmpdir(), 'farlight-cts-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** A folder for the files of this process, which goes with it. */
export const scratch = (name) => join(folder, name);

/** A checkout of the suite. Ends this process where it is not built. */
export function openSuite(path) {
  const checkout = resolve(path);
  const runner = join(checkout, 'out-node/common/runtime/cmdline.js');
  if (existsSync(runner)) return { checkout, runner };
  console.error(`${runner} is not there: build the suite for Node first (npx grunt node, in ${checkout})`);
  process.exit(2);
}

/** The runner's arguments for a GPU provider. `file` is relative to this folder. */
export function provider(file, flags = []) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return ['--gpu-provider', path, ...flags.flatMap((flag) => ['--gpu-provider-flag', flag])];
}

/**
 * Runs the suite's runner in a process of its own, until it ends or is silent for so many seconds.
 *
 * @param preload Arguments of Node that come before the runner.
 * @param onMessage Gets the messages of the process, and a function that answers. Without it the process sends none, and
 *   `seconds` is how long it may run.
 */
export async function runSuite({ checkout, runner }, args, { env = {}, preload = [], seconds, onMessage }) {
  // Output goes to a file: a process that exits loses what is still in a pipe.
  const path = scratch('output');
  const output = openSync(path, 'w');
  // The suite reads its resources relative to the folder that it runs in.
  const child = spawn(process.execPath, ['--no-warnings', ...preload, runner, ...args], {
    cwd: checkout,
    env: { ...process.env, ...env },
    stdio: ['ignore', output, output, ...(onMessage ? ['ipc'] : [])],
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, seconds * 1000);
  const answer = (message) => child.connected && child.send(message, () => {});
  child.on('message', (message) => {
    timer.refresh();
    onMessage(message, answer);
  });
  const [code, signal] = await once(child, 'exit');
  clearTimeout(timer);
  closeSync(output);
  return { code, signal, timedOut, output: readFileSync(path, 'utf8') };
}

/**
 * The results that the runner printed, each with the first lines of its log, and the last lines of all, in case the runner
 * did not finish.
 */
export function readResults(output, logLines = LOG_LINES) {
  const cases = new Map();
  const lines = output.split('\n');
  let log = [];
  for (const line of lines) {
    // Text of the implementation itself may come first on the line.
    const result = /\[(pass|fail|warn|skip)\] (\w+:.*) \((-?[\d.]+)ms\)\. Log:$/.exec(line);
    if (result) {
      log = [];
      const [, status, name, ms] = result;
      // The runner lists failures a second time at the end.
      if (!cases.has(name)) cases.set(name, { status, ms: Number(ms), log });
    } else if (log.length < logLines) {
      log.push(line);
    }
  }
  return { cases, finished: lines.includes('** Summary **'), tail: lines.slice(-LOG_LINES) };
}
