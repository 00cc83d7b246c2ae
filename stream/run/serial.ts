/** Runs acts one after the other. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  /** Begins an act when all acts before it have ended, well or not. */
  run<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#last.then(act);
    // The one who asked has the error.
    this.#last = done.catch(() => {});
    return done;
  }
}
