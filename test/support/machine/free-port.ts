import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * A port of loopback that nothing listens on, for who has to name it before it is used, or uses it twice. It is none of
 * those that a system gives out by itself (from 32768 on Linux, ip(7), and from 49152 elsewhere, RFC 6335), so that
 * whatever asks for any port meanwhile does not get it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
