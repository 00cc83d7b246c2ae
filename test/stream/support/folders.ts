import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const all: string[] = [];
afterAll(() => {
  for (const folder of all) rmSync(folder, { recursive: true, force: true });
});

/** A new folder, which goes when the tests of the file have ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-stream-'));
  all.push(folder);
  return folder;
}
