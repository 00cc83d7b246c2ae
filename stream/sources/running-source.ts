import type { SourceDefinition } from '../definition/definition.js';
import type { SourceHealth } from '../run/status.js';
import type { Source } from './source.js';

/** A source of an application while that runs: from one definition to the next, until it is closed for good. */
export class RunningSource {
  #source: Source | undefined;
  #isClosed = false;

  /** The troubles of the source, as a status has them. */
  get health(): SourceHealth {
    const { problem, aside = 0 } = this.#source?.attempts ?? {};
    return { ...(problem !== undefined && { problem }), ...(aside > 0 && { aside }) };
  }

  /**
   * @param open starts the source. Where this is closed meanwhile, the source is closed as soon as it has started. Undefined
   *   where its records come from elsewhere.
   */
  async start(open: () => Promise<Source | undefined>): Promise<void> {
    if (this.#isClosed) return;
    const source = await open();
    if (this.#isClosed) await source?.close();
    else this.#source = source;
  }

  /** Goes on as another definition says. A source that cannot do so is closed, and started anew by `open`. */
  async become(
    definition: SourceDefinition | undefined,
    open: () => Promise<Source | undefined>,
  ): Promise<void> {
    const before = this.#source;
    if (before?.become?.(definition)) return;
    await before?.close();
    // Where the next one cannot start, there is none that could go on.
    this.#source = undefined;
    await this.start(open);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#source?.close();
  }
}
