import { ProtocolError } from '../../proto/errors.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { Reader, readSequence } from '../../proto/wire/reader.js';
import { Writer } from '../../proto/wire/writer.js';

/** How an object was made. It is made of content alone. */
export interface Recipe {
  readonly shape: Uint8Array;
  readonly payloads: readonly Uint8Array[];
}

/** One create of a profile. `parts` are the objects that it names: 0 is the device, n is the object of the nth step. */
export interface ProfileStep extends Recipe {
  readonly parts: readonly number[];
}

/** How a program got a device: what it asked of the GPU, and of the adapter. */
export interface DeviceRecipes {
  readonly adapter: Recipe;
  readonly device: Recipe;
}

/** The objects that a program compiled on a device, and how to get an equal device. */
export interface Profile {
  /** The program's name, as its Hello gave it. */
  readonly program: string;
  readonly device: DeviceRecipes;
  readonly steps: readonly ProfileStep[];
}

/** The most steps of a profile, and the most bytes. */
export const PROFILE_LIMITS = { steps: 4096, bytes: 32 << 20 } as const;

/** Leaves out the last steps, where they are beyond the limits or `mostBytes`: the program needs the first steps first. */
export function encodeProfile(
  { program, device, steps }: Profile,
  mostBytes: number = PROFILE_LIMITS.bytes,
): Uint8Array {
  const w = new Writer({ frameBytes: Number.POSITIVE_INFINITY });
  w.string(program);
  writeRecipe(w, device.adapter);
  writeRecipe(w, device.device);
  const kept: ProfileStep[] = [];
  let bytes = 0;
  for (const step of steps.slice(0, PROFILE_LIMITS.steps)) {
    bytes += step.payloads.reduce((sum, payload) => sum + payload.length, step.shape.length) + 64;
    if (bytes > Math.min(mostBytes, PROFILE_LIMITS.bytes)) break;
    kept.push(step);
  }
  w.u32(kept.length);
  for (const step of kept) {
    w.u32(step.parts.length);
    for (const part of step.parts) w.u32(part);
    writeRecipe(w, step);
  }
  return w.content.slice();
}

function writeRecipe(w: Writer, { shape, payloads }: Recipe): void {
  w.bytes(shape);
  w.u32(payloads.length);
  for (const payload of payloads) w.bytes(payload);
}

/** The program of a profile, by its first bytes. Throws ProtocolError where they do not name one. */
export function decodeProgram(head: Uint8Array): string {
  return new Reader(head).string();
}

/** Throws ProtocolError where `encodeProfile` has not written these bytes. */
export function decodeProfile(bytes: Uint8Array): Profile {
  const r = new Reader(bytes);
  const program = r.string();
  const device = { adapter: readRecipe(r), device: readRecipe(r) };
  const steps: ProfileStep[] = [];
  for (let count = r.count(); count > 0; count -= 1) {
    // A step names earlier steps.
    const parts = readSequence(r, () => r.index(steps.length + 1));
    steps.push({ parts, ...readRecipe(r) });
  }
  if (!r.done) throw new ProtocolError('a profile has bytes after its end');
  return { program, device, steps };
}

function readRecipe(r: Reader<object>): Recipe {
  const shape = r.take(r.u32(), LIMITS.frameBytes);
  return { shape, payloads: readSequence(r, () => r.bytes()) };
}
