/**
 * Mints handle ids. An id comes back only after its release was recorded, and then with the next
 * generation, so the host sees the release before the id's next use.
 */
export class HandleAllocator {
  readonly #free: number[] = [];
  /** The generation that each id has now, by id. Id 0 is the GPU's own. */
  readonly #generations: number[] = [0];

  mint(): { id: number; generation: number } {
    const free = this.#free.pop();
    if (free !== undefined) return { id: free, generation: this.generationOf(free) };
    this.#generations.push(0);
    return { id: this.#generations.length - 1, generation: 0 };
  }

  generationOf(id: number): number {
    return this.#generations[id] as number;
  }

  /** Gives an id back whose object the host no longer knows, or will have forgotten by its next use. */
  recycle(id: number): void {
    this.#generations[id] = this.generationOf(id) + 1;
    this.#free.push(id);
  }
}
