import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { folders } from '../support/trust/trust.js';

/** How often each program is parked. Compiling again takes seconds each time, so that this is a long form alone. */
const PARKS = Number(process.env.FARLIGHT_PARKS ?? 0);
const PROGRAMS = (process.env.FARLIGHT_PARKS_PROGRAMS ?? 'training,movenet,silero,three').split(',');
const CHILD = fileURLToPath(new URL('./programs/steps.mjs', import.meta.url));
const REGISTER = fileURLToPath(new URL('../../dist/client/register.js', import.meta.url));
/** The longest time from one attempt to park to the next, in milliseconds. To come back, a program compiles again. */
const MOST_MS = 5000;

const temporary = folders();
const { log, of } = memoryLog();
const children = new Set<ChildProcess>();
let daemon: Daemon;

beforeAll(async () => {
  daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    adapter: 'software',
    warm: 0,
    log,
    parking: { root: join(temporary.make(), 'parked'), idleMs: 0 },
  });
});

afterAll(async () => {
  for (const child of children) child.kill();
  await daemon.close();
  temporary.remove();
});

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const parked = () => of('session parked');

/** Runs a program, and parks it once after each step but the last. It is parked at random moments too. */
async function run(name: string, steps: number, isParked: boolean): Promise<string[]> {
  const child = fork(CHILD, [name, String(steps)], {
    execArgv: ['--import', REGISTER],
    env: { ...process.env, FARLIGHT_HOST: daemon.url },
  });
  const results: string[] = [];
  let isOver = false;
  const attempts = (async () => {
    while (isParked && !isOver) {
      daemon.park();
      await wait(Math.random() * MOST_MS);
    }
  })();
  children.add(child);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.on('message', async (digest: string) => {
    results.push(digest);
    const before = parked().length;
    while (isParked && results.length < steps && parked().length === before) {
      daemon.park();
      await wait(20);
    }
    child.send('go on');
  });
  expect(await ended).toBe(0);
  isOver = true;
  await attempts;
  return results;
}

describe.runIf(PARKS > 0)('a program that is parked after each step, and at random moments', () => {
  it.each(PROGRAMS)(
    'computes the same bits as one that never is (%s)',
    async (name) => {
      const steps = PARKS + 1;
      const expected = await run(name, steps, false);
      const before = { parked: parked().length, back: of('session back').length };
      expect(await run(name, steps, true)).toEqual(expected);
      expect(new Set(expected).size).toBeGreaterThan(1);
      const stored = parked().slice(before.parked);
      const back = of('session back').slice(before.back);
      expect(stored.length).toBeGreaterThanOrEqual(steps - 1);
      const middle = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];
      const bytes = middle(stored.map((line) => Number(line.bytes)));
      const ms = middle(back.map((line) => Number(line.ms)));
      console.log(
        `${name}: parked ${stored.length} times, back ${back.length} times, ${expected.length} steps with equal bits; median ${bytes} bytes, ${ms} ms to return`,
      );
    },
    120_000 + PARKS * 120_000,
  );
});
