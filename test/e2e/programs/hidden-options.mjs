// A library that makes speech with transformers.js, as kokoro-js does, and a program that uses it. The
// library passes on at most a device, and no session options. Its model is made here, and speaks no language.
// Prints the result for each device.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AutoTokenizer, env, StyleTextToSpeech2Model, Tensor } from '@huggingface/transformers';
import { randomArray } from '../../../examples/support/random.mjs';
import { node, onnxModel, tensor, value } from '../../../examples/transformers/onnx-file.mjs';
import { writeTinyModel } from '../../../examples/transformers/tiny-model.mjs';

const WORDS = ['hello', 'there'];
const HIDDEN = 64;
const STYLE = 256;

class Speaker {
  static async from_pretrained(id, { dtype = 'fp32', device = null, progress_callback = null } = {}) {
    const model = await StyleTextToSpeech2Model.from_pretrained(id, { progress_callback, dtype, device });
    return new Speaker(model, await AutoTokenizer.from_pretrained(id, { progress_callback }));
  }

  constructor(model, tokenizer) {
    this.model = model;
    this.tokenizer = tokenizer;
  }

  async generate(text, { speed = 1 } = {}) {
    const { input_ids } = this.tokenizer(text, { truncation: true });
    const style = new Tensor('float32', randomArray(STYLE, 3, 1), [1, STYLE]);
    const { waveform } = await this.model({ input_ids, style, speed: new Tensor('float32', [speed], [1]) });
    return waveform.data;
  }
}

const models = mkdtempSync(join(tmpdir(), 'speaker-'));
try {
  writeTinyModel(join(models, 'tts'), WORDS);
  const config = join(models, 'tts/config.json');
  const { hidden_size } = JSON.parse(readFileSync(config, 'utf8'));
  writeFileSync(config, JSON.stringify({ model_type: 'style_text_to_speech_2', hidden_size }));
  writeFileSync(join(models, 'tts/onnx/model.onnx'), speech());
  env.allowRemoteModels = false;
  env.localModelPath = models;

  for (const options of [{}, { device: 'cpu' }, { device: 'auto' }, { device: 'webgpu' }]) {
    const speaker = await Speaker.from_pretrained('tts', options);
    const wave = await speaker.generate(WORDS.join(' '));
    console.log(wave.length, createHash('sha256').update(wave).digest('hex'));
  }
} finally {
  rmSync(models, { recursive: true });
}

function speech() {
  return onnxModel({
    name: 'speech',
    inputs: [
      value('input_ids', 'int64', [1, 'length']),
      value('style', 'float32', [1, STYLE]),
      value('speed', 'float32', [1]),
    ],
    outputs: [value('waveform', 'float32', [1, 'samples'])],
    tensors: [
      tensor('sounds', [6, HIDDEN], randomArray(6 * HIDDEN, 1, 2)),
      tensor('voice', [STYLE, HIDDEN], randomArray(STYLE * HIDDEN, 2, 0.5)),
      tensor('axis', [1], BigInt64Array.of(1n)),
    ],
    nodes: [
      node('Gather', ['sounds', 'input_ids'], 'spoken', { axis: 0 }),
      node('MatMul', ['style', 'voice'], 'tone'),
      node('Unsqueeze', ['tone', 'axis'], 'tones'),
      node('Add', ['spoken', 'tones'], 'sung'),
      node('Tanh', ['sung'], 'shaped'),
      node('Mul', ['shaped', 'speed'], 'paced'),
      node('Flatten', ['paced'], 'waveform', { axis: 1 }),
    ],
  });
}
