import type { FarlightReadAhead } from '../../proto/gen/operations.js';
import type { BufferFacts, Follower, Read } from './proof.js';

/** A part of a buffer that the host copies aside. */
export interface SourceRange {
  readonly buffer: BufferFacts;
  readonly offset: number;
  readonly size: number;
}

/** The ranges and error scopes that the host is asked for. */
export interface Wanted {
  readonly ranges: readonly SourceRange[];
  readonly scopes: number;
  readonly done: boolean;
}

type Answer = FarlightReadAhead<never>;

/** Settles a promise before its own reply. */
export interface Early {
  readonly question: Question;
  /** Makes the reply from the question's answer. Undefined if the answer does not have it. */
  reply(answer: Answer): { readonly reply: unknown } | undefined;
}

/** A range in the question, and where its bytes begin in the answer. */
interface Asked extends Omit<Read, 'kind'> {
  readonly start: number;
  isUsed: boolean;
}

/** One question to the host for the results that the program will await next, and the answer. */
export class Question {
  readonly #asked: Asked[] = [];
  readonly #length: number;
  readonly #scopes: number;
  readonly #done: boolean;
  /** How many scopes that were open at the question are closed since. */
  #closed = 0;
  #answer: Answer | undefined;
  #answeredAt: number | undefined;

  /**
   * `scopes` is how many open scopes the question is about, from the innermost on. With `done` the answer comes when all
   * work is done that was submitted before the question.
   */
  constructor({ ranges, scopes, done }: Wanted) {
    let start = 0;
    for (const { buffer, offset, size } of ranges) {
      this.#asked.push({ source: buffer.id, offset, size, start, isUsed: false });
      start += size;
    }
    this.#length = start;
    this.#scopes = scopes;
    this.#done = done;
  }

  /** Undefined until it comes, and if the host refused. */
  get answer(): Answer | undefined {
    return this.#answer;
  }

  /** When the answer came. */
  get answeredAt(): number | undefined {
    return this.#answeredAt;
  }

  /** Bytes of the answer that the program has read, and the others. */
  get bytes(): { used: number; wasted: number } {
    if (this.#answer?.data.length === 0) return { used: 0, wasted: 0 };
    const sum = (asked: Asked[]) => asked.reduce((bytes, { size }) => bytes + size, 0);
    const used = sum(this.#asked.filter(({ isUsed }) => isUsed));
    return { used, wasted: this.#length - used };
  }

  /** The host has answered, or refused if `answer` is undefined. The bytes of the answer are copied. */
  answered(answer: Answer | undefined, now: number): void {
    this.#answeredAt = now;
    this.#answer = answer && { clean: answer.clean, data: answer.data.slice() };
  }

  /** Returns what settles the promise of a wait. Undefined if the question was not about it. */
  early(follower: Follower): Early | undefined {
    if (follower.kind === 'read') return this.#read(follower);
    if (follower.kind === 'outer') return this.#outer();
    if (follower.kind === 'done')
      return this.#done ? { question: this, reply: () => ({ reply: undefined }) } : undefined;
    // Any answer settles a scope that has caught nothing: it shows that the host has come as far as the question.
    return { question: this, reply: () => ({ reply: null }) };
  }

  #read({ source, offset, size }: Read): Early | undefined {
    const asked = this.#asked.find(
      (each) => each.source === source && each.offset <= offset && offset + size <= each.offset + each.size,
    );
    if (!asked) return undefined;
    asked.isUsed = true;
    const start = asked.start + offset - asked.offset;
    return {
      question: this,
      reply: ({ data }) =>
        data.length === this.#length ? { reply: data.subarray(start, start + size) } : undefined,
    };
  }

  #outer(): Early | undefined {
    const scope = this.#closed;
    this.#closed += 1;
    if (scope >= this.#scopes) return undefined;
    return { question: this, reply: ({ clean }) => (scope < clean ? { reply: null } : undefined) };
  }
}
