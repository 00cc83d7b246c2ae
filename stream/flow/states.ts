import type { State } from './version.js';

/**
 * The states of one step by key, in one epoch. After a cut an epoch writes into a layer of its own, above the states at
 * the cut. So the states at the cut can be stored meanwhile, and the layer can be dropped.
 */
export class Layer<Value> {
  #own = new Map<string, State<Value>>();
  #base: Map<string, State<Value>> | undefined;
  #old: Map<string, State<Value>> | undefined;

  /** The states that a flow begins with. */
  static of<Value>(states: Iterable<readonly [string, State<Value>]>): Layer<Value> {
    const layer = new Layer<Value>();
    layer.#own = new Map(states);
    return layer;
  }

  /**
   * A layer above this one. Until the cut is committed this one still changes, by records before the cut.
   *
   * @param carry whether the states go on as they are, or are converted first, or are left out.
   */
  above(carry: 'keep' | 'migrate' | 'reset'): Layer<Value> {
    const layer = new Layer<Value>();
    layer.#base = carry === 'keep' ? this.#own : new Map();
    if (carry === 'migrate') layer.#old = this.#own;
    return layer;
  }

  get(key: string): State<Value> | undefined {
    return this.#own.get(key) ?? this.#base?.get(key);
  }

  set(key: string, state: State<Value>): void {
    this.#own.set(key, state);
  }

  /** The state of the version before, if it is not converted yet. */
  unconverted(key: string): State<Value> | undefined {
    return this.#base?.has(key) ? undefined : this.#old?.get(key);
  }

  allUnconverted(): (readonly [string, State<Value>])[] {
    return [...(this.#old ?? [])].filter(([key]) => !this.#base?.has(key));
  }

  convert(key: string, state: State<Value>): void {
    this.#base?.set(key, state);
  }

  /** The states at the cut. */
  get states(): ReadonlyMap<string, State<Value>> {
    return this.#base ?? new Map();
  }

  /** The cut is over: the states that were written since are written below. */
  flatten(): void {
    const base = this.#base;
    if (!base) return;
    for (const [key, state] of this.#own) base.set(key, state);
    this.#own = base;
    this.#base = undefined;
    this.#old = undefined;
  }
}
