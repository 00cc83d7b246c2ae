import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import { memoryLog, type Noted } from '../support/hosts/memory-log.js';
import { freePort } from '../support/machine/free-port.js';
import { folders } from '../support/trust/trust.js';

/** How often each program is parked. Compiling again takes seconds each time, so that this is a long form alone. */
const PARKS = Number(process.env.FARLIGHT_PARKS ?? 0);
const PROGRAMS = (process.env.FARLIGHT_PARKS_PROGRAMS ?? 'training,movenet,silero,three').split(',');
/** How often a network that learns is moved between two hosts, in the long form: npm run move. */
const MOVES = Number(process.env.FARLIGHT_MOVES ?? 0);
const CHILD = fileURLToPath(new URL('./programs/steps.mjs', import.meta.url));
const REGISTER = fileURLToPath(new URL('../../dist/bundle/client/register.js', import.meta.url));
/** The longest time from one attempt to the next, in milliseconds. To come back, a program compiles again. */
const MOST_MS = 5000;
/** How long a session may take to be at rest before it is moved, in milliseconds. */
const REST_MS = 3000;

const temporary = folders();
const children = new Set<ChildProcess>();
const hosts: Host[] = [];

interface Host {
  readonly daemon: Daemon;
  of(message: string): Noted[];
}

/** What is done to a session while its program runs. `count` tells how often it has been done. */
interface Disturbance {
  act(): unknown;
  count(): number;
}

beforeAll(async () => {
  const ports = [await freePort(), await freePort()];
  for (const at of [0, 1]) {
    const { log, of } = memoryLog();
    const daemon = await Daemon.start({
      listen: `127.0.0.1:${ports[at]}`,
      adapter: 'software',
      warm: 0,
      log,
      parking: { root: join(temporary.make(), 'parked'), idleMs: 0 },
      moveTo: [`grpc://127.0.0.1:${ports[1 - at]}`],
      moveFrom: 'default',
      // On a busy machine a software GPU takes minutes.
      gpuMs: 0,
      busyMs: 3_600_000,
    });
    hosts.push({ daemon, of });
  }
});

afterAll(async () => {
  for (const child of children) child.kill();
  for (const { daemon } of hosts) await daemon.close();
  temporary.remove();
});

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const all = (message: string) => hosts.flatMap(({ of }) => of(message));
const middle = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];
const numbers = (lines: Noted[], field: string) => lines.map((line) => Number(line[field]));

/** Runs a program at the first host. Its session is disturbed once after each step but the last, and at random moments. */
async function run(name: string, steps: number, disturbance?: Disturbance): Promise<string[]> {
  const [host] = hosts as [Host];
  const child = fork(CHILD, [name, String(steps)], {
    execArgv: ['--import', REGISTER],
    env: { ...process.env, FARLIGHT_HOST: host.daemon.url },
  });
  const results: string[] = [];
  let isOver = false;
  const attempts = (async () => {
    while (disturbance && !isOver) {
      await disturbance.act();
      await wait(Math.random() * MOST_MS);
    }
  })();
  children.add(child);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.on('message', async (digest: string) => {
    results.push(digest);
    const before = disturbance?.count();
    while (disturbance && results.length < steps && disturbance.count() === before) {
      await disturbance.act();
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
      const expected = await run(name, steps);
      const before = { parked: all('session parked').length, back: all('session back').length };
      const count = () => all('session parked').length;
      expect(await run(name, steps, { act: () => hosts[0]?.daemon.park(), count })).toEqual(expected);
      expect(new Set(expected).size).toBeGreaterThan(1);
      const stored = all('session parked').slice(before.parked);
      const back = all('session back').slice(before.back);
      expect(stored.length).toBeGreaterThanOrEqual(steps - 1);
      console.log(
        `${name}: parked ${stored.length} times, back ${back.length} times, ${expected.length} steps with equal bits; median ${middle(numbers(stored, 'bytes'))} bytes, ${middle(numbers(back, 'ms'))} ms to return`,
      );
    },
    120_000 + PARKS * 120_000,
  );
});

describe.runIf(MOVES > 0)('a network that moves to and fro between two hosts while it learns', () => {
  it(
    'has the same weights after each step as one that never moves',
    async () => {
      const steps = MOVES + 1;
      const expected = await run('training', steps);
      const moved = (at: number) => hosts[at]?.of('session moved').length ?? 0;
      const act = () => hosts[moved(0) > moved(1) ? 1 : 0]?.daemon.move(REST_MS);
      expect(await run('training', steps, { act, count: () => moved(0) + moved(1) })).toEqual(expected);
      expect(new Set(expected).size).toBeGreaterThan(1);
      const lines = all('session moved');
      expect(lines.length).toBeGreaterThanOrEqual(steps - 1);
      console.log(
        `training: moved ${lines.length} times, ${expected.length} steps with equal bits; median ${middle(numbers(lines, 'bytes'))} bytes, ${middle(numbers(lines, 'ms'))} ms`,
      );
    },
    120_000 + MOVES * 120_000,
  );
});
