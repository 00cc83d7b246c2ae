import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicNow } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import { codeOf, FarlightError } from '../../proto/errors.js';

/**
 * Calls from one program to one other through two files of a folder that both have. The caller writes `call`, the other
 * writes `answer` with the same number. Each file is replaced whole. So an answer also proves that both have one folder,
 * and that each reads the files of the other.
 */
interface Message {
  readonly number: number;
  readonly content: unknown;
}

/** How often to look for an answer, in milliseconds. */
const LOOK_MS = 50;

/** The side that calls. */
export class FileCaller {
  readonly #folder: string;
  /** Not from 1: the folder may have an answer to an earlier caller. */
  #number: number;
  #isClosed = false;

  constructor(folder: string, first = Math.floor(Math.random() * 2 ** 40)) {
    this.#folder = folder;
    this.#number = first;
  }

  /** Calls one after the other. @throws FarlightError UNREACHABLE where no answer comes in time (rejects). */
  async call<Answer>(content: unknown, timeoutMs: number): Promise<Answer> {
    this.#number += 1;
    const number = this.#number;
    replaceJson(this.#folder, 'call', { number, content } satisfies Message);
    const deadline = monotonicNow() + timeoutMs;
    while (!this.#isClosed) {
      const answer = readJson<Message>(this.#folder, 'answer');
      if (answer?.number === number) return answer.content as Answer;
      if (monotonicNow() > deadline) break;
      await pause(LOOK_MS);
    }
    throw new FarlightError(
      'UNREACHABLE',
      `no answer came through the files in ${this.#folder} within ${timeoutMs / 1000} seconds; see that both sides have that folder`,
    );
  }

  /** A call that is under way rejects. */
  close(): void {
    this.#isClosed = true;
  }
}

/** Answers the call that waits, if there is one. Each call is answered once. Returns the number of the latest call. */
export function answerCall(folder: string, answered: number, answer: (content: unknown) => unknown): number {
  const call = readJson<Message>(folder, 'call');
  if (!call || call.number === answered) return answered;
  replaceJson(folder, 'answer', { number: call.number, content: answer(call.content) } satisfies Message);
  return call.number;
}

/** Writes a file in place of an existing one, whole, for a reader on another machine. */
export function replaceJson(folder: string, name: string, content: unknown): void {
  const path = join(folder, name);
  writeFileSync(`${path}.new`, JSON.stringify(content), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Undefined where there is no such file. */
export function readJson<T>(folder: string, name: string): T | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, name), 'utf8'));
  } catch (error) {
    // ESTALE: the file was replaced while it was read over a network.
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ESTALE') throw error;
    return undefined;
  }
}
