// The thread of an emulated link: runs the proxy and does what the thread that made it says.
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

/** What the thread is told, in order; it answers each with its number when it is done. */
export interface Order {
  number: number;
  what: 'accept' | 'refuse' | 'cut' | 'cutAfter' | 'freeze' | 'thaw' | 'close';
  bytes?: number;
  direction?: Direction;
}

export interface Done {
  number: number;
  /** Of 'accept': the port that it listens on. */
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
  // Of the thread, with whatever sockets are not closed yet.
  if (order.what === 'close') process.exit();
});

async function obey({ what, bytes = 0, direction = 'up' }: Order): Promise<number | undefined> {
  if (what === 'accept') return proxy.accept();
  if (what === 'cutAfter') proxy.cutAfter(bytes, direction);
  else await proxy[what]();
  return undefined;
}
