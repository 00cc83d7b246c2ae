import { hostname } from 'node:os';
import { basename } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { deferred } from '../../../link/machine/deferred.js';
import { packageProgram } from '../../../link/machine/package-files.js';
import { startThread } from '../../../link/machine/thread.js';
import { FarlightError } from '../../../proto/errors.js';
import { giveBackAtExit } from '../../attach/at-exit.js';
import type { HoldData, HoldNews } from './hold-thread.js';
import type { PortalAddress } from './portal-address.js';

/** Hosts that a portal has given to this program. */
export interface HeldHosts {
  /** Their addresses, with their tokens. */
  readonly urls: readonly string[];
  readonly idleMs: number;
}

/** This process, for the bookings of all its threads. */
const PROCESS = `${hostname()}:${process.pid}`.slice(-100);

/** A booking of this program at a portal, until it is released or over. */
export class Hold {
  readonly #thread: Worker;
  readonly #settled = deferred<HeldHosts | FarlightError>();
  readonly #onWait: (why: string) => void;
  /** Gets the reason if the portal ends the booking. */
  onEnded: (why: string) => void = () => {};
  #isOver = false;

  /** @param onWait is told why the program waits, at each change. */
  constructor(address: PortalAddress, hosts: number, onWait: (why: string) => void) {
    this.#onWait = onWait;
    const program = basename(process.argv[1] ?? 'node');
    const workerData: HoldData = { address, program, process: PROCESS, hosts };
    const thread = startThread(packageProgram('pool/portal/client/hold-thread.js'), {
      name: 'farlight portal',
      workerData,
    });
    this.#thread = thread;
    giveBackAtExit(thread);
    thread.on('message', (news: HoldNews) => this.#hear(news));
    thread.on('error', (error) => this.#end('UNREACHABLE', error.message));
    thread.on('exit', () => this.#end('UNREACHABLE', 'its thread has ended'));
    // Last, since a listener for messages would keep the process alive.
    thread.unref();
  }

  /** Resolves when all hosts take sessions. @throws FarlightError (rejects) */
  async ready(): Promise<HeldHosts> {
    const settled = await this.#settled.promise;
    if (settled instanceof FarlightError) throw settled;
    return settled;
  }

  /** Resolves when the portal has heard of it, or cannot be told. */
  release(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    const gone = new Promise<void>((resolve) => void this.#thread.once('exit', () => resolve()));
    this.#thread.postMessage('release');
    return gone;
  }

  #hear(news: HoldNews): void {
    if (news.is === 'waiting') this.#onWait(news.why);
    else if (news.is === 'ready') this.#settled.resolve({ urls: news.urls, idleMs: news.idle * 1000 });
    else {
      this.#end(news.code, news.why);
      if (news.ended) this.onEnded(news.why);
    }
  }

  #end(code: FarlightError['code'], why: string): void {
    this.#isOver = true;
    this.#settled.resolve(new FarlightError(code, why));
  }
}
