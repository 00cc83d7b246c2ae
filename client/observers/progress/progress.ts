/** The state of a session at one moment. */
export interface SessionProgress {
  /** Pipelines that were asked for, and how many of them the host has compiled. */
  pipelinesAsked: number;
  pipelinesDone: number;
  /** Bytes that were given to the link or wait for it, and how many of them the host has taken. */
  bytesGiven: number;
  bytesTaken: number;
}

/** Work that takes less is not shown, in milliseconds. */
const QUIET_MS = 1000;
/** An upload with less under way is not shown, in bytes. */
const LEAST_BYTES = 256 << 10;

const MIB = 1 << 20;

/** Work that goes on: its start, and how much was done before it. */
interface Stretch {
  since: number;
  done: number;
}

/**
 * Decides what to show to a person who waits: nothing for a second, then the progress. It has no clock and no
 * screen.
 */
export class Progress {
  #compiling: Stretch | undefined;
  #uploading: Stretch | undefined;

  /** The text to show at this time, in milliseconds of a steady clock; undefined for none. */
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
      // The pipeline that is compiling now comes after the finished ones.
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
  // Work of a session that has ended no longer counts.
  return { since: before?.since ?? now, done: Math.min(before?.done ?? done, done) };
}

function lasts(stretch: Stretch | undefined, now: number): stretch is Stretch {
  return stretch !== undefined && now - stretch.since >= QUIET_MS;
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
