// Plays a camera: writes pictures of a person who walks from the right to the left and back.
//
//   node film.mjs [pictures] [for each second] [folder]
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import jpeg from 'jpeg-js';
import { samplePhoto } from '../movenet/pose.mjs';
import { resize } from '../support/image.mjs';

const SIZE = 256;
const STEPS_ACROSS = 8;
const [pictures = 60, rate = 2] = process.argv.slice(2, 4).map(Number);
const example = process.argv[4] ?? fileURLToPath(new URL('.', import.meta.url));
const folder = join(example, 'frames/door');
mkdirSync(folder, { recursive: true });

const photo = samplePhoto();
const person = resize(photo, Math.round((photo.width * SIZE) / photo.height), SIZE);
// Pictures that are there were taken before: the camera goes on after them.
const first = Number.parseInt(readdirSync(folder).sort().at(-1) ?? '0', 10) + 1;
for (let picture = first; picture < first + pictures; picture++) {
  const step = picture % (2 * STEPS_ACROSS);
  const across = Math.abs(STEPS_ACROSS - step) / STEPS_ACROSS;
  const frame = frameWith(person, Math.round(across * (SIZE - person.width)));
  // A picture is there whole: a busy machine may write it in parts.
  const part = join(example, 'frame.part');
  writeFileSync(part, jpeg.encode(frame, 90).data);
  renameSync(part, join(folder, `${String(picture).padStart(6, '0')}.jpg`));
  await pause(1000 / rate);
}

/** A grey wall with the person so many pixels from its left. */
function frameWith(person, left) {
  const data = new Uint8Array(SIZE * SIZE * 4).fill(128);
  for (let row = 0; row < SIZE; row++) {
    const line = person.data.subarray(row * person.width * 4, (row + 1) * person.width * 4);
    data.set(line, (row * SIZE + left) * 4);
  }
  return { width: SIZE, height: SIZE, data };
}
