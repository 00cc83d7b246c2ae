import { afterEach, describe, expect, it } from 'vitest';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { startFarlight } from '../support/hosts/farlight-command.js';
import { executorsOf, isAlive, until } from '../support/machine/processes.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

/** `farlight run ARGS`, with its output so far. */
function run(args: string[], env: NodeJS.ProcessEnv = {}) {
  const running = startFarlight(['run', ...args], env);
  cleanups.push(() => running.child.kill('SIGKILL'));
  return running;
}

async function host(): Promise<TestHost> {
  const started = await testHost({ adapter: 'null' });
  cleanups.push(() => started.close());
  return started;
}

/** A program that asks for a device and prints the milliseconds of its shortest wait for the queue. */
const WAITS = `
  const device = await (await navigator.gpu.requestAdapter()).requestDevice();
  let shortest = Infinity;
  for (let wait = 0; wait < 20; wait += 1) {
    const start = performance.now();
    await device.queue.onSubmittedWorkDone();
    shortest = Math.min(shortest, performance.now() - start);
  }
  console.log(JSON.stringify({ shortest, host: process.env.FARLIGHT_HOST }));
  process.exit(3);
`;
const waits = ['--', process.execPath, '--input-type=module', '-e', WAITS];

describe('farlight run --emulate', () => {
  it('farlight run --emulate puts a link in front of a host: each wait takes its round trip', async () => {
    const { url, counters } = await host();
    const { code, stdout, stderr } = await run(['--host', url, '--emulate', 'rtt=40,mbit=100', ...waits])
      .done;
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
    const report = JSON.parse(stdout);
    // With a simulated clock, link-schedule.test.ts shows that it takes little more.
    expect(report.shortest).toBeGreaterThan(39.5);
    expect(report.host).not.toBe(url);
    expect(counters.sessionsOpened).toBe(1);
  });

  it('farlight run --emulate starts no host if another option is wrong', async () => {
    const files = ['--emulate', 'rtt=1', '--adapter', 'null', '--trace', '/no/such/folder/trace.json'];
    const { code, stderr } = await run([...files, '--', 'true']).done;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^farlight: --trace \S+ cannot be written \(ENOENT\)[^\n]+\n$/);
  });

  it('farlight run --emulate takes the host from FARLIGHT_HOST', async () => {
    const { url, counters } = await host();
    const { code } = await run(['--emulate', 'rtt=5,jitter=2', ...waits], { FARLIGHT_HOST: url }).done;
    expect(code).toBe(3);
    expect(counters.sessionsOpened).toBe(1);
  });

  it('farlight run --emulate without a host starts one for the run, and leaves no process behind', async () => {
    const program = `${WAITS.replace('process.exit(3)', 'setInterval(() => {}, 1000)')}`;
    const args = ['--adapter', 'null', '--emulate', 'rtt=20', '--', process.execPath, '--input-type=module'];
    const { child, printed, done } = run([...args, '-e', program], { FARLIGHT_HOST: '' });
    await until(() => printed.stdout.includes('}'));
    expect(JSON.parse(printed.stdout).shortest).toBeGreaterThan(19.5);
    const executors = await executorsOf(child.pid ?? 0);
    expect(executors.length).toBeGreaterThan(0);
    child.kill('SIGTERM');
    expect((await done).code).toBe(128 + 15);
    expect(executors.filter(isAlive)).toEqual([]);
  });

  const WRONG: [string, string[], RegExp][] = [
    [
      'a value that is not a number',
      ['--emulate', 'rtt=soon'],
      /not understood at "rtt=soon".*rtt=30,mbit=100/,
    ],
    ['an unknown name', ['--emulate', 'rtt=30,loss=1'], /not understood at "loss=1"/],
    ['a name twice', ['--emulate', 'rtt=1,rtt=2'], /not understood at "rtt=2"; .* each once/],
    ['nothing', ['--emulate', ''], /not understood at ""/],
    ['a round trip beyond a minute', ['--emulate', 'rtt=90000'], /rtt .* from 0 to 60000, not 90000/],
    ['no bandwidth at all', ['--emulate', 'mbit=0'], /mbit .* from 0.01 to 100000, not 0/],
    [
      'an adapter that does not exist',
      ['--adapter', 'RTX 9090', '--emulate', 'rtt=1'],
      /no GPU .* "RTX 9090"/,
    ],
    ['a host that is not there', ['--host', 'grpc://127.0.0.1:1', '--emulate', 'rtt=1'], /no farlight host/],
  ];
  for (const [name, args, words] of WRONG) {
    it(`farlight run --emulate rejects ${name} in one sentence`, async () => {
      const { code, stderr, stdout } = await run([...args, '--', 'echo', 'ran'], { FARLIGHT_HOST: '' }).done;
      expect(stderr).toMatch(words);
      expect(stderr).toMatch(/^farlight: [^\n]+\n$/);
      expect(stdout).toBe('');
      expect(code).toBe(1);
    });
  }
});
