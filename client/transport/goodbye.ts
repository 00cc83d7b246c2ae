import { monotonicNow } from '../../link/machine/clock.js';

/** How long an ending process waits, for all its links together, in milliseconds. */
const GOODBYE_MS = 500;

export interface Leaving {
  close(): void;
  /**
   * Sends waiting frames for a moment, without the event loop. Returns whether the process need not wait for this link any
   * more.
   */
  leave(): boolean;
}

/** Open links of this thread. */
const links = new Set<Leaving>();
let isListening = false;

/** From now on a link is closed when the process ends, until `forgetGoodbye`. */
export function goodbyeAtExit(link: Leaving): void {
  links.add(link);
  if (isListening) return;
  isListening = true;
  process.once('exit', () => sayGoodbye([...links], monotonicNow));
}

/** The link has closed. */
export function forgetGoodbye(link: Leaving): void {
  links.delete(link);
}

/**
 * Closes these links, and waits until their frames have left. They share the time and take turns, so a host that reads
 * nothing takes no time from the others.
 */
export function sayGoodbye(leaving: readonly Leaving[], now: () => number): void {
  const until = now() + GOODBYE_MS;
  for (const link of leaving) link.close();
  for (let left = leaving; left.length > 0 && now() < until; ) left = left.filter((link) => !link.leave());
}
