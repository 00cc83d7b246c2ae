import { readFileSync } from 'node:fs';
import { deserialize } from 'node:v8';
import { expect } from 'vitest';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import type { SessionPeer } from '#farlight/server/executor/wire/endpoint.js';
import type { RecordedFrame } from '../clients/recording.mjs';
import { mutate } from './mutations.js';
import { recordSessions } from './recorded-sessions.js';
import { logUniform, seeded } from './seeded.js';

/** A session of so many frames is one of a model: what comes first is played more often than what comes late. */
const LONG_SESSION = 40;
/** Of such a session so many frames are played behind the one that was changed. */
const AFTER_CHANGE = 4;
/** One run in so many is one of a model's session. */
const LONG_SHARE = 12;
/** A frame of more bytes is an upload, in which most changes are of texels and weights alone. */
const UPLOAD_BYTES = 16 << 10;

/** The sessions that are changed: short ones, and those of models, which the files hold (see record-program.mjs). */
export class Seeds {
  readonly #short: RecordedFrame[][];
  readonly #long: RecordedFrame[][];

  private constructor(sessions: readonly RecordedFrame[][]) {
    this.#short = sessions.filter(({ length }) => length < LONG_SESSION);
    this.#long = sessions.filter(({ length }) => length >= LONG_SESSION);
  }

  static async record(files: readonly string[] = []): Promise<Seeds> {
    const models = files.map((file) => deserialize(readFileSync(file)) as RecordedFrame[]);
    return new Seeds([...(await recordSessions()), ...models]);
  }

  get all(): readonly RecordedFrame[][] {
    return [...this.#short, ...this.#long];
  }

  /** Those that a GPU carries out unchanged: a model may need more than one has. */
  async playable(gpu: GPU, turn: () => Promise<unknown>): Promise<Seeds> {
    const sessions: RecordedFrame[][] = [];
    for (const frames of this.all) if ((await play(gpu, frames, turn)).length === 0) sessions.push(frames);
    expect(sessions.length).toBeGreaterThan(this.#short.length * 0.9);
    return new Seeds(sessions);
  }

  get counts(): string {
    return `${this.#short.length} short sessions and ${this.#long.length} long ones`;
  }

  /** The changed session of a run: the same for the same seed and number. */
  changed(seed: number, run: number): RecordedFrame[] {
    const random = seeded(Math.imul(run + 1, 0x9e3779b1) ^ seed);
    const long = this.#long.length > 0 && random() * LONG_SHARE < 1;
    const session = pick(long ? this.#long : this.#short, random);
    const at = long ? placeIn(session, random) : Math.floor(random() * session.length);
    const frames = long ? session.slice(0, at + AFTER_CHANGE) : [...session];
    this.#change(frames, at, random);
    if (random() < 0.3) this.#change(frames, Math.floor(random() * frames.length), random);
    return frames.filter(({ bytes }) => bytes.length > 0);
  }

  #change(frames: RecordedFrame[], at: number, random: () => number): void {
    const frame = frames[at];
    if (!frame) return;
    const other = () => pick(pick(this.#short, random), random);
    const kind = random();
    if (kind < 0.85) frames[at] = { ...frame, bytes: changeBytes(frame.bytes, other().bytes, random) };
    else if (kind < 0.9) frames.splice(at, 0, frame);
    else if (kind < 0.95) frames.splice(at, 1);
    else frames.splice(at, 0, { ...other(), after: frame.after });
  }
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)] as T;
}

/** A frame of a long session, one of commands rather than an upload. */
function placeIn(session: readonly RecordedFrame[], random: () => number): number {
  let at = 0;
  for (let tries = 0; tries < 8; tries += 1) {
    at = logUniform(random, 1, session.length) - 1;
    if ((session[at]?.bytes.length ?? 0) < UPLOAD_BYTES) break;
  }
  return at;
}

/** Of an upload what comes first, where the commands are. */
function changeBytes(bytes: Uint8Array, other: Uint8Array, random: () => number): Uint8Array {
  if (bytes.length < UPLOAD_BYTES) return mutate(bytes, other, random);
  const head = logUniform(random, 8, bytes.length);
  const changed = mutate(bytes.subarray(0, head), other, random);
  return new Uint8Array(Buffer.concat([changed, bytes.subarray(head)]));
}

/** Bytes of the GPU's memory, so that a session may reserve some. */
const CAPACITY = 2 ** 32;

/** Turns of the event loop, or of its microtasks, in which a session that still answers has done so. */
const TURNS = 40;

/**
 * Plays a session to an executor; resolves to how it was ended, if it was. `turn` lets the GPU go on, and
 * resolves when it has.
 */
export async function play(
  gpu: GPU,
  frames: readonly RecordedFrame[],
  turn: () => Promise<unknown>,
): Promise<string[]> {
  const ends: string[] = [];
  let replies = 0;
  let open = true;
  const peer: SessionPeer = {
    send: () => {
      if (!open) throw new Error('something was said after the end');
      replies += 1;
    },
    end: (code, reason) => {
      ends.push(`${code}: ${reason}`);
      open = false;
    },
  };
  const session = new ExecutorSession(gpu, peer, { findCapacity: async () => CAPACITY });
  for (const { bytes, after } of frames) {
    for (let count = 0; count < TURNS && open && replies < after; count++) await turn();
    if (!open) break;
    session.receive(bytes);
  }
  open = false;
  session.close();
  await turn();
  return ends;
}
