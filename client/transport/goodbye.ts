/** How long a process that ends waits for each of its hosts to be told, in milliseconds. */
export const GOODBYE_MS = 500;

interface Leaving {
  /** Closes it and waits until what was sent has left, if that does not take long. */
  sayGoodbye(): void;
}

/** Links of this thread that are open. */
const links = new Set<Leaving>();
let isListening = false;

/** From now on, until it is forgotten, a link says goodbye where the process ends. */
export function goodbyeAtExit(link: Leaving): void {
  links.add(link);
  if (isListening) return;
  isListening = true;
  process.once('exit', () => {
    for (const each of [...links]) each.sayGoodbye();
  });
}

/** The link is over. */
export function forgetGoodbye(link: Leaving): void {
  links.delete(link);
}
