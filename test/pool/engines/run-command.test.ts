import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { runCommand } from '#farlight/pool/engines/run-command.js';
import { folders } from '../../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());

/** A script that starts a command which does not end, and keeps the script's output open. */
function script(rest: string): string {
  const pid = join(temporary.make(), 'pid');
  onTestFinished(() => void process.kill(Number(readFileSync(pid, 'utf8'))));
  return `sleep 100 & echo $! > ${pid}; ${rest}`;
}

it('a command that a script has started, and that does not end, is reported after its time', async () => {
  await expect(runCommand('sh', ['-c', script('wait')], '', 2000)).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: expect.stringContaining('sh did not end within 2 seconds'),
  });
});

it('a script that has ended has its code, also where what it started keeps its output open', async () => {
  expect(await runCommand('sh', ['-c', script('echo done; exit 3')], '', 2000)).toEqual({
    code: 3,
    stdout: 'done\n',
    stderr: '',
  });
});
