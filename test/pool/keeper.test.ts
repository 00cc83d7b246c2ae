import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { joinHost, leaveHost, startKeeper } from '#farlight/pool/attach/keeper.js';
import { answerCall } from '#farlight/pool/files/file-calls.js';
import { addressOf } from '#farlight/pool/host/report.js';

const folder = mkdtempSync(join(tmpdir(), 'keeper-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('a request to a new thread is answered by that thread, although the one before it still exits', async () => {
  const failing = startKeeper();
  const failed = once(failing, 'error');
  const exited = new Promise((resolve) => failing.once('exit', resolve));
  // The thread cannot read this message, and fails.
  failing.postMessage(null);
  await failed;
  const host = { folder, slot: 1, term: 1, url: addressOf({ folder }, undefined, '') ?? '' };
  const joined = joinHost(host);
  await exited;
  let answered = 0;
  const timer = setInterval(() => {
    answered = answerCall(folder, answered, () => ({
      challenge: 1,
      leaseMs: 60_000,
      sessions: 0,
      valid: true,
    }));
  }, 10);
  expect(await joined).toBe(true);
  clearInterval(timer);
  await leaveHost(host, false);
});
