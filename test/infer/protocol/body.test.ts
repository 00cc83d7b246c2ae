import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { readBody } from '#farlight/infer/http/body.js';

it('a compressed body counts while it is decompressed, and not only when all of it is in memory', async () => {
  const request = Object.assign(Readable.from([gzipSync(new Uint8Array(32 << 20))]), {
    headers: { 'content-encoding': 'gzip' },
  }) as unknown as IncomingMessage;
  let taken = 0;
  const account = {
    take(bytes: number) {
      taken += bytes;
      if (taken > 1 << 20) throw new Error('no more memory');
    },
  };
  await expect(readBody(request, { limit: 64 << 20, idleMs: 10_000, account })).rejects.toThrow();
  expect(taken).toBeLessThan(2 << 20);
});
