/**
 * The thread that has a booking at a portal: it books, renews, and releases. The program's own thread may compute for long
 * without a pause, and its host stays. Where the process is stopped or ends, so does this, and the booking ends.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import { pause } from '../../../link/machine/timer.js';
import { FarlightError, type FarlightErrorCode, messageOf } from '../../../proto/errors.js';
import { type Goodbye, hasGivenBack } from '../../attach/at-exit.js';
import type { BookingAnswer } from '../view.js';
import type { PortalAddress } from './portal-address.js';
import { PortalClient, PortalRefusal } from './portal-client.js';

export interface HoldData {
  readonly address: PortalAddress;
  readonly program: string;
  readonly process: string;
  readonly hosts: number;
}

/** To the program's thread. The last one is `over`. */
export type HoldNews =
  | { readonly is: 'waiting'; readonly why: string }
  | { readonly is: 'ready'; readonly urls: readonly string[]; readonly idle: number }
  /** `ended`: by the portal, which has taken the hosts. Otherwise it does not answer, and they live for a while. */
  | {
      readonly is: 'over';
      readonly ended: boolean;
      readonly code: FarlightErrorCode;
      readonly why: string;
    };

/** How long to wait before a portal is asked again that does not answer, in milliseconds. */
const AGAIN_MS = 500;
/** After how long the program is told that it waits for the portal itself, in milliseconds. */
const LATE_MS = 3000;
/** How often a booking is renewed in one lease. */
const IN_A_LEASE = 4;
/** The longest that the portal is to wait with its answer, in seconds. */
const LONGEST_WAIT = 10;
/** How long after the end of its wait an answer may come, in milliseconds. */
const SLACK_MS = 10_000;
/** How long the portal may take to hear of a release, in milliseconds. */
const RELEASE_MS = 2000;

const { address, program, process: holder, hosts }: HoldData = workerData;
const client = new PortalClient(address);
let booking: BookingAnswer | undefined;
let isReleased = false;

parentPort?.on('message', (message: 'release' | Goodbye) => {
  isReleased = true;
  const id = booking?.id;
  const told = id === undefined ? undefined : client.ask('DELETE', pathOf(id), undefined, RELEASE_MS);
  // Where the portal cannot be told, the booking ends since nobody renews it.
  void Promise.resolve(told)
    .catch(() => {})
    .finally(() => {
      if (message !== 'release') hasGivenBack(message);
      process.exit();
    });
});

void hold();

async function hold(): Promise<void> {
  try {
    booking = await book();
    while (booking.phase !== 'ended') {
      say(booking);
      booking = await renewed(booking);
    }
    over(true, 'UNREACHABLE', booking.why);
  } catch (error) {
    const code = error instanceof FarlightError ? error.code : 'UNREACHABLE';
    if (!isReleased) over(isFinal(error), code, messageOf(error));
  }
}

async function book(): Promise<BookingAnswer> {
  const late = setTimeout(() => tell({ is: 'waiting', why: 'the portal has not answered yet' }), LATE_MS);
  try {
    return await client.book(address.pool, { program, process: holder, hosts });
  } finally {
    clearTimeout(late);
  }
}

/** Renews the booking, also at a portal that is restarted meanwhile. @throws FarlightError (rejects) */
async function renewed(last: BookingAnswer): Promise<BookingAnswer> {
  const wait = Math.min(last.lease / IN_A_LEASE, LONGEST_WAIT);
  const deadline = monotonicNow() + last.lease * 1000;
  for (;;) {
    try {
      const body = { seen: last.version, wait };
      return await client.ask('POST', `${pathOf(last.id)}/renew`, body, wait * 1000 + SLACK_MS);
    } catch (error) {
      // A portal that has lost its state knows no bookings. One that waits is made again.
      if (error instanceof PortalRefusal && error.status === 404 && last.phase === 'waiting') return book();
      if (isFinal(error) || isReleased || monotonicNow() > deadline) throw error;
      await pause(AGAIN_MS);
    }
  }
}

/** The portal has no such booking any more, or refuses this program. */
function isFinal(error: unknown): boolean {
  return error instanceof PortalRefusal && error.status < 500;
}

function pathOf(id: string): string {
  return `/v1/bookings/${encodeURIComponent(id)}`;
}

function say({ phase, why, addresses, idle }: BookingAnswer): void {
  if (phase === 'waiting') tell({ is: 'waiting', why });
  else if (addresses.length > 0) tell({ is: 'ready', urls: addresses, idle });
}

function over(ended: boolean, code: FarlightErrorCode, why: string): void {
  tell({ is: 'over', ended, code, why });
  client.close();
  parentPort?.close();
}

function tell(news: HoldNews): void {
  parentPort?.postMessage(news);
}
