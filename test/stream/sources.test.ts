import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { watchFolder } from '#farlight/stream/sources/folder-source.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());

describe('a folder of files', () => {
  it('gives files whose times lie in the future, as those of a camera whose clock is ahead', async () => {
    const folder = temporary.make();
    const future = Date.now() / 1000 + 3600;
    for (const camera of ['a', 'b']) {
      mkdirSync(join(folder, camera));
      writeFileSync(join(folder, camera, '1.png'), camera);
      utimesSync(join(folder, camera, '1.png'), future, future);
    }
    const taken: string[] = [];
    const stop = new AbortController();
    const watching = watchFolder(
      folder,
      {
        positions: new Map(),
        backlog: () => 0,
        ingest: async ({ key, position }) => taken.push(`${key}/${position}`),
      },
      stop.signal,
    );
    await expect.poll(() => taken, { timeout: 10_000 }).toEqual(['a/1.png', 'b/1.png']);
    stop.abort();
    await watching;
  });
});
