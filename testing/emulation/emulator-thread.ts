// The thread of an emulated link: it runs the proxy and carries out the orders of the thread that started it.
import type { NetConnectOpts } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { Direction } from './flow.js';
import { LinkProxy } from './link-proxy.js';
import type { Line } from './link-schedule.js';

export interface EmulatorData {
  target: NetConnectOpts;
  up: Line;
  down: Line;
  counters: BigInt64Array;
}

/**
 * An order to the thread. The thread carries orders out one after the other, and reports the number of each.
 */
export interface Order {
  number: number;
  what: 'accept' | 'refuse' | 'cut' | 'cutAfter' | 'freeze' | 'thaw' | 'close';
  bytes?: number;
  direction?: Direction;
}

export interface Done {
  number: number;
  /** With 'accept': the port that it listens on. */
  port?: number;
  problem?: string;
}

const proxy = new LinkProxy(workerData as EmulatorData);
const port = parentPort;
port?.on('message', async (order: Order) => {
  const done: Done = { number: order.number };
  try {
    const bound = await obey(order);
    if (bound !== undefined) done.port = bound;
  } catch (error) {
    done.problem = String(error);
  }
  port.postMessage(done);
  // Ends the thread, with all sockets that are not closed yet.
  if (order.what === 'close') process.exit();
});

async function obey({ what, bytes = 0, direction = 'up' }: Order): Promise<number | undefined> {
  if (what === 'accept') return proxy.accept();
  if (what === 'cutAfter') proxy.cutAfter(bytes, direction);
  else await proxy[what]();
  return undefined;
}
