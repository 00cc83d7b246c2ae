/** What is known of a session at some moment. */
export interface SessionProgress {
  /** Pipelines that were asked for, and those of them that the host has. */
  pipelinesAsked: number;
  pipelinesDone: number;
  /** Bytes that were given to the link or wait for it, and those of them that the host has taken. */
  bytesGiven: number;
  bytesTaken: number;
}

/** What takes no longer is not told of, in milliseconds. */
const QUIET_MS = 1000;
/** What is under way of less is no upload that anybody waits for, in bytes. */
const LEAST_BYTES = 256 << 10;

const MIB = 1 << 20;

/** Work that goes on: since when, and how much had been done before. */
interface Stretch {
  since: number;
  done: number;
}

/** Decides what to tell a person who waits: nothing for a second, and then how far it is. Has no clock and no screen. */
export class Progress {
  #compiling: Stretch | undefined;
  #uploading: Stretch | undefined;

  /** What to show at this time, in milliseconds of a steady clock; undefined where nothing is. */
  at(now: number, state: SessionProgress): string | undefined {
    const { pipelinesAsked: asked, pipelinesDone: compiled, bytesGiven: given, bytesTaken: taken } = state;
    this.#compiling = stretch(this.#compiling, asked > compiled, now, compiled);
    this.#uploading = stretch(
      this.#uploading,
      given - taken > (this.#uploading ? 0 : LEAST_BYTES),
      now,
      taken,
    );
    const parts: string[] = [];
    if (lasts(this.#compiling, now)) {
      const { done } = this.#compiling;
      // The one that is under way is the one after those that are done.
      parts.push(`compiling pipeline ${Math.min(compiled - done + 1, asked - done)} of ${asked - done}`);
    }
    if (lasts(this.#uploading, now)) {
      const { done } = this.#uploading;
      parts.push(`uploading ${mib(taken - done)} of ${mib(given - done)} MiB`);
    }
    return parts.length > 0 ? `farlight: ${parts.join(', ')}` : undefined;
  }
}

function stretch(
  before: Stretch | undefined,
  goesOn: boolean,
  now: number,
  done: number,
): Stretch | undefined {
  if (!goesOn) return undefined;
  // What was done by a session that has ended is not counted any more.
  return { since: before?.since ?? now, done: Math.min(before?.done ?? done, done) };
}

function lasts(stretch: Stretch | undefined, now: number): stretch is Stretch {
  return stretch !== undefined && now - stretch.since >= QUIET_MS;
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
