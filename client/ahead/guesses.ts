import type { Mentions } from './mentions.js';
import type { Follower, Read } from './window.js';

/** A read as it is remembered: where its source was named before the wait, and which buffer that was. */
interface ExpectedRead extends Read {
  readonly back: number | undefined;
}

type Expected = ExpectedRead | Exclude<Follower, Read>;

/** What is remembered of one place in a program. */
interface Place {
  expected: readonly Expected[];
  /** So many guesses have to be right, without being used, before one is used again. */
  debt: number;
}

/** What is expected to follow a wait. */
export interface Guess {
  readonly followers: readonly Follower[];
  /** Whether it was right so often that the host is worth asking. */
  readonly isTrusted: boolean;
}

/** A wrong guess has cost its bytes: ten right ones have to make up for it. */
const DEBT = 10;
/** What was seen once is to come once more. */
const NEW_DEBT = 1;
/** Places that are remembered. A program with more of them does not repeat itself. */
const PLACES = 256;

const NOTHING: Guess = { followers: [], isTrusted: false };

/** Learns what a program awaits behind each of its waits, and guesses from that what it will await next. */
export class Guesses {
  readonly #mentions: Mentions;
  readonly #places = new Map<string, Place>();

  constructor(mentions: Mentions) {
    this.#mentions = mentions;
  }

  /** What will follow the wait at a place, before which there were so many mentions. */
  guess(key: string, until: number): Guess {
    const place = this.#places.get(key);
    if (!place) return NOTHING;
    const followers = place.expected.map((each) => (each.kind === 'read' ? this.#locate(each, until) : each));
    return { followers, isTrusted: place.debt === 0 };
  }

  /** What has followed. `isLate`: it was right, and came no earlier than if nobody had asked. */
  learn(key: string, until: number, guess: Guess, followers: readonly Follower[], isLate: boolean): void {
    const place = this.#places.get(key);
    if (!place && followers.length === 0) return;
    const isRight = guess.followers.every((each, index) => isSame(each, followers[index]));
    const debt = !place ? NEW_DEBT : !isRight || isLate ? DEBT : Math.max(0, place.debt - 1);
    const expected = followers.map((each, index) =>
      each.kind === 'read' ? this.#expect(each, until, place?.expected[index]) : each,
    );
    // Put in again, so that the oldest is the one that was not come to for longest.
    this.#places.delete(key);
    this.#places.set(key, { expected, debt });
    if (this.#places.size > PLACES) this.#places.delete(this.#places.keys().next().value as string);
  }

  #locate({ back, ...read }: ExpectedRead, until: number): Read {
    const source = back === undefined ? undefined : this.#mentions.at(until, back);
    return { ...read, source: source ?? read.source };
  }

  /** A buffer is known by where it is named, unless it is the same one although another was named there. */
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
