/** A priority queue: `pop` gives the least element by `before`. */
export class Heap<T> {
  readonly #before: (a: T, b: T) => boolean;
  #elements: T[] = [];

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#elements.length;
  }

  peek(): T | undefined {
    return this.#elements[0];
  }

  push(element: T): void {
    const elements = this.#elements;
    let at = elements.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = elements[above] as T;
      if (!this.#before(element, parent)) break;
      elements[at] = parent;
      at = above;
    }
    elements[at] = element;
  }

  pop(): T | undefined {
    const elements = this.#elements;
    const least = elements[0];
    const last = elements.pop();
    if (elements.length === 0 || last === undefined) return least;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= elements.length) break;
      if (below + 1 < elements.length && this.#before(elements[below + 1] as T, elements[below] as T))
        below += 1;
      const child = elements[below] as T;
      if (!this.#before(child, last)) break;
      elements[at] = child;
      at = below;
    }
    elements[at] = last;
    return least;
  }

  /** Keeps only the elements for which the function returns true. */
  retain(stays: (element: T) => boolean): void {
    const elements = this.#elements.filter(stays);
    this.#elements = [];
    for (const element of elements) this.push(element);
  }
}
