// Makes what the example needs: the folder of models, and a folder with a WAV file for each microphone.
//
//   node make.mjs [microphones] [seconds] [folder]
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { synthesizeSpeech } from '../silero/speech.mjs';

const SAMPLE_RATE = 16_000;
const [microphones = 4, seconds = 20] = process.argv.slice(2, 4).map(Number);
const folder = process.argv[4] ?? fileURLToPath(new URL('.', import.meta.url));

const package_ = import.meta.resolve('@ricky0123/vad-web/package.json');
const here = (path) => join(folder, path);
mkdirSync(here('models/silero/1'), { recursive: true });
copyFileSync(new URL('./dist/silero_vad_v5.onnx', package_), here('models/silero/1/model.onnx'));

mkdirSync(here('sounds'), { recursive: true });
const speech = synthesizeSpeech({ sampleRate: SAMPLE_RATE, samples: Math.round(seconds * SAMPLE_RATE) });
for (let microphone = 1; microphone <= microphones; microphone++) {
  // Each microphone hears the same voice at another time.
  const shift = Math.round((speech.length * (microphone - 1)) / microphones);
  const heard = Float32Array.from(speech, (_, at) => speech[(at + shift) % speech.length]);
  writeFileSync(here(`sounds/mic-${String(microphone).padStart(2, '0')}.wav`), wavOf(heard));
}
console.log(`${microphones} microphones, ${seconds} s each`);

/** A WAV file of one channel with integers of 16 bits. */
function wavOf(samples) {
  const bytes = Buffer.alloc(44 + 2 * samples.length);
  bytes.write('RIFF', 0, 'latin1');
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write('WAVEfmt ', 8, 'latin1');
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(SAMPLE_RATE, 24);
  bytes.writeUInt32LE(2 * SAMPLE_RATE, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36, 'latin1');
  bytes.writeUInt32LE(2 * samples.length, 40);
  for (const [at, sample] of samples.entries())
    bytes.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample)) * 32767), 44 + 2 * at);
  return bytes;
}
