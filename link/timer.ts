/** What setTimeout and setInterval return: an object in Node, a number in a page. */
export type Timer = ReturnType<typeof setTimeout>;

/** Lets the process end although the timer runs; a page has nothing to let end. */
export function unref(timer: Timer): Timer {
  timer.unref?.();
  return timer;
}
