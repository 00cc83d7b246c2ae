import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { isAlive, until } from '../support/machine/processes.js';
import { FAKE_EXECUTOR } from '../support/repository.js';

const PROGRAM = fileURLToPath(new URL('../support/programs/link-program.mjs', import.meta.url));

let daemon: Daemon;
let proxy: CuttingProxy;
beforeAll(async () => {
  daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    executorEntry: FAKE_EXECUTOR,
    warm: 0,
    resumeMs: 500,
  });
  proxy = await CuttingProxy.start(daemon.url);
});
afterAll(async () => {
  await proxy.close();
  await daemon.close();
});

const LAST_ERROR = fileURLToPath(new URL('../support/programs/last-error-program.mjs', import.meta.url));

describe('errors of the last command', () => {
  it.each([
    [
      'prints an error of the last command before the program ends',
      [],
      /^Uncaught GPUValidationError: .*wrong/s,
    ],
    [
      'passes an error of the last command to the listener before the program ends',
      ['listen'],
      /^heard: .*wrong/s,
    ],
  ])('%s', async (_claim, args, output) => {
    const { code, text } = await lastError(...args);
    expect(code).toBe(0);
    expect(text).toMatch(output);
    expect(text.match(/wrong/g)?.length).toBe(1);
  });

  it('does not delay a program for long if its host is silent', async () => {
    const { code, text } = await lastError('stop');
    const executor = Number(text);
    process.kill(executor, 'SIGCONT');
    expect(code).toBe(0);
    await until(() => !isAlive(executor));
  });
});

/** Runs a program whose last command is a mistake. It ends by itself, or the test never does. */
async function lastError(...args: string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(process.execPath, [LAST_ERROR, ...args]);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (text += piece));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, text };
}

/**
 * Runs a program that opens a link and does these steps with it. It ends by itself, or the test never does.
 */
async function program(host: string, ...steps: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [PROGRAM, host, ...steps], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, output };
}

const HOSTS: Record<string, () => string> = {
  'a connection to this machine': () => daemon.url,
  'a connection through a proxy': () => proxy.url,
  'a private host': () => 'private',
};

for (const [name, host] of Object.entries(HOSTS)) {
  describe(`a program with an open link over ${name}`, () => {
    it('a program ends by itself when it awaits nothing', async () => {
      expect(await program(host())).toEqual({ code: 0, output: '' });
    });

    it('a program ends by itself after it awaited something', async () => {
      expect(await program(host(), 'echo')).toEqual({ code: 0, output: 'answered\n' });
    });

    it('a program stays alive while it awaits, also the second time', async () => {
      const { code, output } = await program(host(), 'echo', 'turn', 'stall', 'echo');
      expect({ code, output }).toEqual({ code: 0, output: 'answered\nanswered\n' });
    });

    it('the executor of a private host ends with its program, however that ends', async () => {
      for (const ending of [[], ['exit'], ['die']]) {
        const { output } = await program(host(), 'pid', ...ending);
        expect(output).toMatch(/^\d+\n$/);
        await until(() => !isAlive(Number(output)));
      }
    });
  });
}
