import type { Mentions } from './mentions.js';
import type { Follower, Read } from './proof.js';

/** A remembered read: the buffer that was its source, and where that buffer was named before the wait. */
interface ExpectedRead extends Read {
  readonly back: number | undefined;
}

type Expected = ExpectedRead | Exclude<Follower, Read>;

/** The memory of one place in a program. */
interface Place {
  expected: readonly Expected[];
  /** How many unused guesses must be right before one is used again. */
  debt: number;
}

/** The waits that are expected after a wait. */
export interface Guess {
  readonly followers: readonly Follower[];
  /** Whether the guess was right often enough to ask the host. */
  readonly isTrusted: boolean;
}

/** A wrong guess costs its bytes in vain, so ten right ones must follow it. */
const DEBT = 10;
/** A new guess must be right once. */
const NEW_DEBT = 1;
/** How many places are remembered. A program with more of them does not repeat itself. */
const PLACES = 256;

const NOTHING: Guess = { followers: [], isTrusted: false };

/** Learns which waits follow each wait of a program, and guesses the next ones from that. */
export class Guesses {
  readonly #mentions: Mentions;
  readonly #places = new Map<string, Place>();

  constructor(mentions: Mentions) {
    this.#mentions = mentions;
  }

  /** Guesses the waits that follow the wait at a place. `until` is the count of mentions before it. */
  guess(key: string, until: number): Guess {
    const place = this.#places.get(key);
    if (!place) return NOTHING;
    const followers = place.expected.map((each) => (each.kind === 'read' ? this.#locate(each, until) : each));
    return { followers, isTrusted: place.debt === 0 };
  }

  /** Learns the waits that followed. `isLate`: the guess was right, but its bytes came no earlier than without it. */
  learn(key: string, until: number, guess: Guess, followers: readonly Follower[], isLate: boolean): void {
    const place = this.#places.get(key);
    if (!place && followers.length === 0) return;
    const isRight = guess.followers.every((each, index) => isSame(each, followers[index]));
    const debt = !place ? NEW_DEBT : !isRight || isLate ? DEBT : Math.max(0, place.debt - 1);
    const expected = followers.map((each, index) =>
      each.kind === 'read' ? this.#expect(each, until, place?.expected[index]) : each,
    );
    // Move the place to the end: evict the place that was not visited for longest.
    this.#places.delete(key);
    this.#places.set(key, { expected, debt });
    if (this.#places.size > PLACES) this.#places.delete(this.#places.keys().next().value as string);
  }

  #locate({ back, ...read }: ExpectedRead, until: number): Read {
    const source = back === undefined ? undefined : this.#mentions.at(until, back);
    return { ...read, source: source ?? read.source };
  }

  /**
   * Remembers a buffer by the place that names it. If the same buffer is read although the place names another one, it is
   * remembered by its id.
   */
  #expect(read: Read, until: number, before: Expected | undefined): ExpectedRead {
    if (before?.kind === 'read') {
      const { back, source } = before;
      if (back !== undefined && this.#mentions.at(until, back) === read.source) return { ...read, back };
      if (source === read.source) return { ...read, back: undefined };
    }
    return { ...read, back: this.#mentions.find(until, read.source) };
  }
}

function isSame(a: Follower, b: Follower | undefined): boolean {
  if (a.kind !== 'read' || b?.kind !== 'read') return a.kind === b?.kind;
  return a.source === b.source && a.offset === b.offset && a.size === b.size;
}
