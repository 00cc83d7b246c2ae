import { monotonicNow } from '../../link/machine/clock.js';

/** How long a process that ends waits for all of its hosts together to be told, in milliseconds. */
const GOODBYE_MS = 500;

export interface Leaving {
  close(): void;
  /**
   * Goes on for a moment with what was sent and has not left, without the event loop. Returns whether nothing more is to
   * be waited for.
   */
  leave(): boolean;
}

/** Links of this thread that are open. */
const links = new Set<Leaving>();
let isListening = false;

/** From now on, until it is forgotten, a link says goodbye where the process ends. */
export function goodbyeAtExit(link: Leaving): void {
  links.add(link);
  if (isListening) return;
  isListening = true;
  process.once('exit', () => sayGoodbye([...links], monotonicNow));
}

/** The link is over. */
export function forgetGoodbye(link: Leaving): void {
  links.delete(link);
}

/**
 * Closes these links and waits until what was sent has left. They have the time together, and take turns: a host that
 * takes nothing costs the others none.
 */
export function sayGoodbye(leaving: readonly Leaving[], now: () => number): void {
  const until = now() + GOODBYE_MS;
  for (const link of leaving) link.close();
  for (let left = leaving; left.length > 0 && now() < until; ) left = left.filter((link) => !link.leave());
}
