// The graphs that are measured: as an application of farlight stream, and as a graph of the inference server.
import { appendFileSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { node, onnxModel, tensor, value } from '../../examples/transformers/onnx-file.mjs';

/** Each key counts its records, so the outputs show whether one is missing, or there twice. */
const FUNCTIONS = `
const decided = (limit) => ({ probability, count }) => ({
  count: { data: Int32Array.of(count.data[0] + 1) },
  event: { data: Float32Array.of(count.data[0], probability.data[0] > limit ? 1 : 0) },
});
export const low = decided(0.2);
export const high = decided(0.7);
`;
const WIDTH = 576;
const STATES = { silero: [2, 1, 128], small: [1, 128] };

/** `model` is left out for a function alone. Silero has its items in the second dimension of its state, so it runs without batches. */
export const GRAPHS = [
  { name: 'silero', title: 'Silero and a function', model: 'silero' },
  { name: 'single', title: 'a small model without batches, and a function', model: 'small', maxBatch: 1 },
  { name: 'batches', title: 'a small model in batches, and a function', model: 'small' },
  { name: 'function', title: 'a function alone' },
];

/** The file of the application. `rule` is a function's name, `version` that of the model. */
export function streamText({ model }, { rule = 'low', version = 1 } = {}) {
  return `
sources:
  sound: { http: { framed: "FP32[1,${WIDTH}]" } }
steps:
${model ? detectText(model, version) : ''}  decide:
    function: f.mjs#${rule}
    inputs: { probability: ${model ? 'detect.output' : 'sound.framed'} }
    state: { count: "INT32[1]" }
sinks:
  out: { file: out.jsonl, values: { event: decide.event } }
`;
}

function detectText(model, version) {
  const constants = model === 'silero' ? '    constants: { sr: { type: "INT64[]", data: [16000] } }\n' : '';
  return `  detect:
    model: ${model}
    version: ${version}
    inputs: { input: sound.framed }
${constants}    state: { state: { type: "FP32[${STATES[model]}]", next: stateN } }
`;
}

/** The graph.yaml of the inference server. States are inputs and outputs there. */
function graphText({ model }) {
  const rate = model === 'silero' ? ['sr'] : [];
  const given = (names) => names.map((name) => `${name}: ${name}`).join(', ');
  const inputs = ['framed', ...(model ? ['state', ...rate] : []), 'count'];
  return `
inputs: [${inputs.join(', ')}]
steps:
${model ? `  detect: { model: ${model}, version: 1, inputs: { input: framed, ${given(['state', ...rate])} } }\n` : ''}  decide:
    function: f.mjs#low
    inputs: { probability: ${model ? 'detect.output' : 'framed'}, count: count }
outputs: { ${model ? 'state: detect.stateN, ' : ''}count: decide.count, event: decide.event }
types: { ${model ? '' : `framed: "FP32[1,${WIDTH}]", `}count: "INT32[1]", event: "FP32[2]" }
`;
}

/** Writes functions and models of an application. Version 2 of a model computes the same, and is another file. */
export function writeApplication(folder, graph, versions = [1]) {
  writeFileSync(join(folder, 'f.mjs'), FUNCTIONS);
  for (const version of graph.model ? versions : []) writeModel(join(folder, 'models'), graph, version);
}

/** Writes the folder of an inference server, whose graph is called `graph`. */
export function writeServed(folder, graph) {
  if (graph.model) writeModel(folder, graph, 1);
  mkdirSync(join(folder, 'graph'), { recursive: true });
  writeFileSync(join(folder, 'graph/graph.yaml'), graphText(graph));
  writeFileSync(join(folder, 'graph/f.mjs'), FUNCTIONS);
}

function writeModel(folder, { model, maxBatch }, version) {
  const file = join(folder, model, `${version}`, 'model.onnx');
  mkdirSync(join(file, '..'), { recursive: true });
  if (maxBatch) writeFileSync(join(folder, model, 'config.yaml'), `maxBatch: ${maxBatch}\n`);
  if (model === 'small') writeFileSync(file, smallModel(version));
  else {
    const packaged = import.meta.resolve('@ricky0123/vad-web/package.json');
    copyFileSync(fileURLToPath(new URL('./dist/silero_vad_v5.onnx', packaged)), file);
    if (version > 1) appendName(file, version);
  }
}

/** Another file with the same network: a text that no run reads is appended to it. */
function appendName(file, version) {
  const text = Buffer.from(`version ${version}`);
  appendFileSync(file, Buffer.concat([Buffer.from([DOC_STRING, text.length]), text]));
}

/** The tag of `doc_string` in onnx.proto3's ModelProto. */
const DOC_STRING = 0x32;
const HIDDEN = 64;

/** Two layers, which a software GPU computes in a few milliseconds, for as many items as there are. */
function smallModel(version) {
  const weights = (name, dims) => {
    const length = dims.reduce((product, each) => product * each, 1);
    return tensor(
      name,
      dims,
      Float32Array.from({ length }, (_, at) => Math.sin(at + 1) / 10),
    );
  };
  return onnxModel({
    name: `small ${version}`,
    inputs: [value('input', 'float32', ['n', WIDTH]), value('state', 'float32', ['n', STATES.small[1]])],
    outputs: [value('output', 'float32', ['n', 1]), value('stateN', 'float32', ['n', STATES.small[1]])],
    tensors: [weights('first', [WIDTH, HIDDEN]), weights('second', [HIDDEN, 1]), weights('one', [1])],
    nodes: [
      node('MatMul', ['input', 'first'], 'a'),
      node('Relu', ['a'], 'b'),
      node('MatMul', ['b', 'second'], 'c'),
      node('Sigmoid', ['c'], 'output'),
      node('Add', ['state', 'one'], 'stateN'),
    ],
  });
}

export function recordOf(key) {
  const data = Float32Array.from({ length: WIDTH }, (_, at) => Math.sin(at * 0.07 + key));
  return { name: 'framed', datatype: 'FP32', shape: [1, WIDTH], data: new Uint8Array(data.buffer) };
}

/** The inputs of a request beside the record: what the request before of the same key has returned. */
export function firstStates({ model }) {
  const zeros = (name, datatype, shape, bytes) => ({ name, datatype, shape, data: new Uint8Array(bytes) });
  const count = zeros('count', 'INT32', [1], 4);
  if (!model) return [count];
  const shape = STATES[model];
  return [zeros('state', 'FP32', shape, 4 * shape.reduce((product, each) => product * each, 1)), count];
}

export function constantsOf({ model }) {
  if (model !== 'silero') return [];
  const data = new Uint8Array(BigInt64Array.of(16_000n).buffer);
  return [{ name: 'sr', datatype: 'INT64', shape: [], data }];
}
