import { ProtocolError } from '../../proto/errors.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { Reader, readSequence } from '../../proto/wire/reader.js';
import { Writer } from '../../proto/wire/writer.js';

/** How an object was made that is made of content alone. */
export interface Recipe {
  readonly shape: Uint8Array;
  readonly payloads: readonly Uint8Array[];
}

/** One create of a profile: `parts` are the objects that it names, 0 the device, n what the nth step made. */
export interface ProfileStep extends Recipe {
  readonly parts: readonly number[];
}

/** Steps that a profile has at most, and its bytes. */
export const PROFILE_LIMITS = { steps: 4096, bytes: 32 << 20 } as const;

/** Steps beyond the limits are left out: those that come first are what the program asks for first. */
export function encodeProfile(steps: readonly ProfileStep[]): Uint8Array {
  const w = new Writer({ frameBytes: Number.POSITIVE_INFINITY });
  const kept: ProfileStep[] = [];
  let bytes = 0;
  for (const step of steps.slice(0, PROFILE_LIMITS.steps)) {
    bytes += step.payloads.reduce((sum, payload) => sum + payload.length, step.shape.length) + 64;
    if (bytes > PROFILE_LIMITS.bytes) break;
    kept.push(step);
  }
  w.u32(kept.length);
  for (const { shape, parts, payloads } of kept) {
    w.bytes(shape);
    w.u32(parts.length);
    for (const part of parts) w.u32(part);
    w.u32(payloads.length);
    for (const payload of payloads) w.bytes(payload);
  }
  return w.content.slice();
}

/** Throws ProtocolError on what `encodeProfile` does not write. */
export function decodeProfile(bytes: Uint8Array): ProfileStep[] {
  const r = new Reader(bytes);
  const steps: ProfileStep[] = [];
  for (let count = r.count(); count > 0; count -= 1) {
    const shape = r.take(r.u32(), LIMITS.frameBytes);
    // A step names what came before it.
    const parts = readSequence(r, () => r.index(steps.length + 1));
    const payloads = readSequence(r, () => r.bytes());
    steps.push({ shape, parts, payloads });
  }
  if (!r.done) throw new ProtocolError('a profile goes on after its end');
  return steps;
}
