// Greedy decoding with a model from gpt.mjs: the most likely token is taken, and goes in next. `session` is any ONNX
// Runtime session, or a model over several hosts: what runs the model is no difference here.
import * as ort from 'onnxruntime-web/wasm';
import { gptState } from './gpt.mjs';

/** Resolves to the tokens after the prompt, and the logits from which each was chosen. */
export async function decode(session, { layers, width, heads }, prompt, steps) {
  const state = Object.entries(gptState(layers));
  const empty = () => new ort.Tensor('float32', new Float32Array(0), [1, heads, 0, width / heads]);
  let cache = Object.fromEntries(state.map(([input]) => [input, empty()]));
  const tokens = [];
  const logits = [];
  let ids = prompt;
  let before = 0;
  for (let step = 0; step < steps; step += 1) {
    const results = await session.run({ ...inputsFor(ids, before), ...cache });
    // ONNX Runtime never frees what it has given out.
    for (const tensor of Object.values(cache)) tensor.dispose();
    cache = Object.fromEntries(state.map(([input, output]) => [input, results[output]]));
    const all = results.logits.data;
    const last = all.slice((all.length / ids.length) * (ids.length - 1));
    before += ids.length;
    ids = [last.indexOf(Math.max(...last))];
    tokens.push(...ids);
    logits.push(last);
  }
  for (const tensor of Object.values(cache)) tensor.dispose();
  return { tokens, logits };
}

/** The inputs for these tokens behind `before` others. No token sees the ones behind it. */
function inputsFor(ids, before) {
  const all = before + ids.length;
  const mask = new Float32Array(ids.length * all);
  for (const row of ids.keys()) mask.fill(-1e9, row * all + before + row + 1, (row + 1) * all);
  const whole = (numbers) => new ort.Tensor('int64', BigInt64Array.from(numbers, BigInt), [1, ids.length]);
  return {
    ids: whole(ids),
    positions: whole(ids.map((_, at) => before + at)),
    mask: new ort.Tensor('float32', mask, [ids.length, all]),
  };
}
