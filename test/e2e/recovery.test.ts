import { spawn } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { outputOf, type Running } from '../support/hosts/farlight-command.js';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { freePort } from '../support/machine/free-port.js';
import { executorsOf, until } from '../support/machine/processes.js';
import { REPOSITORY } from '../support/repository.js';

const started: { kill(signal: NodeJS.Signals): boolean }[] = [];

afterEach(() => {
  for (const each of started.splice(0)) each.kill('SIGKILL');
});

/** A program that computes twice with Farlight's `navigator.gpu`, and prints its statistics at the end. */
function program(kind: string, env: NodeJS.ProcessEnv): Running {
  const args = ['--import', `${REPOSITORY}dist/bundle/client/register.js`];
  const child = spawn(
    process.execPath,
    [...args, 'test/support/programs/recovering-program.mjs', '2', kind],
    {
      cwd: REPOSITORY,
      env: { ...process.env, ...env, FARLIGHT_STATS: '1' },
    },
  );
  started.push(child);
  return outputOf(child);
}

async function serve(port: number): Promise<ServeProcess> {
  const host = await ServeProcess.start('--listen', `127.0.0.1:${port}`, '--adapter', 'software');
  started.push(host.child);
  return host;
}

const COMPUTED = 'computed 3,6,9,12';

describe.each(['webgpu', 'tfjs'])('a program (%s) that asks for an adapter again', (kind) => {
  it(`a ${kind} program computes on a host that starts later, and on the host that replaces a killed one`, async () => {
    const port = await freePort();
    const { printed, done } = program(kind, { FARLIGHT_HOST: `grpc://127.0.0.1:${port}` });
    await until(() => printed.stdout.includes('asked in vain'));
    const first = await serve(port);
    await until(() => printed.stdout.includes(COMPUTED));
    first.child.kill('SIGKILL');
    await first.ended;
    await serve(port);
    const { code, stdout, stderr } = await done;
    expect(code, stderr).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('asked'));
    expect(lines).toEqual([COMPUTED, 'lost: unknown', COMPUTED]);
  });

  it('a program computes on another private host after the first was killed', async () => {
    const { child, printed, done } = program(kind, { FARLIGHT_HOST: '', FARLIGHT_ADAPTER: 'software' });
    await until(() => printed.stdout.includes(COMPUTED));
    const executors = await executorsOf(child.pid as number);
    expect(executors).toHaveLength(1);
    process.kill(executors[0] as number, 'SIGKILL');
    const { code, stdout, stderr } = await done;
    expect(code, stderr).toBe(0);
    expect(stdout.trim().split('\n')).toEqual([COMPUTED, 'lost: unknown', COMPUTED]);
  });
});
