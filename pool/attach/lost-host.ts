/** Finds out what became of a host that does not answer any more. */
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { FarlightError, type FarlightErrorCode } from '../../proto/errors.js';
import type { Engine } from '../engines/engine.js';
import { readReports } from '../host/report.js';
import { Journal } from '../journal/journal.js';
import { onLost } from './keeper.js';
import type { HostOfTerm } from './keeper-thread.js';

/** How often to ask the engine, in milliseconds, and how many times: after that the session has given up by itself. */
const ASK_MS = { here: 100, elsewhere: 1000 };
const ASKED_MS = 30_000;

/**
 * How a session waits for the host that it was given. That host has answered just now, so it is there, and slow where its
 * machine is overloaded. One that ends meanwhile is noticed sooner, by `whenEnded` or the portal.
 */
export const PATIENT = { connectMs: ASKED_MS } as const;

/**
 * Calls `ended`, once, when a host does not answer and is known to have ended: nobody needs to wait for it to come back.
 *
 * @returns a function that stops this.
 */
export function whenEnded(host: HostOfTerm, engine: Engine, ended: (why: string) => void): () => void {
  const ms = engine.isHere ? ASK_MS.here : ASK_MS.elsewhere;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  let left = 0;
  const stop = () => {
    isOver = true;
    clearTimeout(timer);
    forget();
  };
  const ask = async () => {
    // An engine that does not answer now is asked again below.
    const why = await endOf(host, engine).catch(() => undefined);
    if (isOver) return;
    if (why !== undefined) {
      stop();
      ended(why);
      return;
    }
    left -= 1;
    if (left > 0) timer = setTimeout(() => void ask(), ms);
  };
  const forget = onLost(host, () => {
    const isAsking = left > 0;
    left = ASKED_MS / ms;
    if (!isAsking) void ask();
  });
  return stop;
}

/** How a host is gone that its pool has ended. */
const GONE: readonly FarlightErrorCode[] = ['UNREACHABLE', 'SHUTTING_DOWN'];

/** The reason for which a session with a pool's host is over, for its program: nobody starts such a host by hand. */
export function reasonOfPool(pool: string, reason: FarlightError | undefined): FarlightError | undefined {
  if (!reason || !GONE.includes(reason.code)) return reason;
  // After its first clause it says what to do about a host that a person has started.
  const [why] = reason.message.split('; ');
  const message = `the host of the pool ${pool} has gone: ${why}; ask for another adapter`;
  return new FarlightError(reason.code, message, { cause: reason });
}

/** Why a host has ended; undefined where it may still serve. */
async function endOf({ folder, slot, term }: HostOfTerm, engine: Engine): Promise<string | undefined> {
  const journal = new Journal(folder);
  const latest = journal.latest(slot);
  if (latest.term !== term) return 'another one has taken its place';
  if (latest.end) return latest.end.why;
  if (!latest.job) return undefined;
  const status = await engine.status(latest.job.id);
  if (status.phase === 'ended' && status.isCertain) return status.why;
  return readReports(await engine.logs(latest.job.id, journal.logOf(slot, term)), term).ended;
}
