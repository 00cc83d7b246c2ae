// A line of limited bandwidth to a port of this machine, for tests and measurements.
import { connect, createServer } from 'node:net';

/** It lets so much through at once that timers, which are coarse, do not slow it, in milliseconds. */
const BURST_MS = 2;
/** The pieces that a line of this rate passes on, in milliseconds' worth. */
const PIECE_MS = 10;

/**
 * Starts a proxy to `port` that passes `megabits` per second each way, and each piece `delayMs` later.
 * `cut` closes the connections that are open. `up` and `down` count the bytes that were passed on.
 */
export async function slowLine(port, { megabits, delayMs = 0 }) {
  const bytesPerMs = (megabits * 1e6) / 8 / 1000;
  const open = new Set();
  const counted = { up: 0, down: 0 };
  const server = createServer({ noDelay: true, highWaterMark: 64 << 10 }, (near) => {
    const far = connect({ host: '127.0.0.1', port, noDelay: true });
    const pair = [near, far];
    open.add(pair);
    const close = () => {
      open.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on('error', () => {}).on('close', close);
    pass(near, far, bytesPerMs, delayMs, (bytes) => {
      counted.up += bytes;
    });
    pass(far, near, bytesPerMs, delayMs, (bytes) => {
      counted.down += bytes;
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `grpc://127.0.0.1:${server.address().port}`,
    counted,
    cut: () => {
      for (const pair of open) for (const socket of pair) socket.destroy();
    },
    close: () => {
      server.close();
      for (const pair of open) for (const socket of pair) socket.destroy();
    },
  };
}

function pass(from, to, bytesPerMs, delayMs, count) {
  /** When the line has passed what it took. */
  let freeAt = 0;
  const piece = Math.max(1500, Math.round(bytesPerMs * PIECE_MS));
  const deliver = (bytes) => {
    count(bytes.length);
    if (delayMs > 0) setTimeout(() => to.write(bytes), delayMs);
    else to.write(bytes);
  };
  from.on('data', (bytes) => {
    from.pause();
    let at = 0;
    const next = () => {
      for (;;) {
        const now = performance.now();
        freeAt = Math.max(freeAt, now - BURST_MS);
        if (freeAt - now > BURST_MS) {
          setTimeout(next, freeAt - now - BURST_MS / 2);
          return;
        }
        if (at >= bytes.length) break;
        const part = bytes.subarray(at, at + piece);
        at += part.length;
        freeAt += part.length / bytesPerMs;
        deliver(part);
      }
      from.resume();
    };
    next();
  });
}
