// What the programs in this folder share: their flags, and the one JSON line each prints on stdout.
//
// { program, framework, provider, loadMs, times, repeats, outputs, digest, reference? }
//   times      milliseconds of each run; the first one compiles the shaders
//   repeats    whether every run gave the same bits
//   outputs    of the last run: [{ name, type, shape, base64 }], the raw little-endian bytes
//   digest     the same result as a person would want to read it
//   ledger     through Farlight: how much each counter of its session grew in each run
//   reference  with --reference: { provider, times, outputs, digest, error } from the framework's own CPU
//              backend on the same input; error is max|a - b| / max|b| of the worst output
import { parseArgs } from 'node:util';

/** `more`: flags of one program only. */
export function readFlags(more = {}) {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '1' },
      reference: { type: 'boolean', default: false },
      ...more,
    },
  });
  return { ...values, runs: Number(values.runs) };
}

export async function timed(title, work) {
  const start = performance.now();
  const result = await work();
  const ms = performance.now() - start;
  process.stderr.write(`${title}: ${ms.toFixed(0)} ms\n`);
  return { result, ms };
}

/** Loads once and infers `runs` times. `infer(loaded)` gives `[{ name, shape, data }]`. */
export async function measure({ provider, runs, load, infer, digest }) {
  const { result: loaded, ms: loadMs } = await timed(`${provider}: load`, load);
  const counters = await sessionCounters();
  const ledger = [];
  const times = [];
  let tensors;
  let last;
  let repeats = true;
  for (let run = 1; run <= runs; run++) {
    const before = counters?.();
    const { result, ms } = await timed(`${provider}: run ${run} of ${runs}`, () => infer(loaded));
    times.push(ms);
    if (before) ledger.push(difference(before, counters()));
    const outputs = result.map(encode);
    repeats &&= run === 1 || outputs.every(({ base64 }, index) => base64 === last[index].base64);
    tensors = result;
    last = outputs;
  }
  return {
    tensors,
    report: { provider, loadMs, times, repeats, ledger, outputs: last, digest: digest(tensors) },
  };
}

/** Reads the counters of the GPU's session. On local Dawn there is nothing to count. */
async function sessionCounters() {
  const { globals, stats } = await import('farlight');
  return navigator.gpu instanceof globals.GPU ? () => stats(navigator.gpu) : undefined;
}

function difference(before, after) {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));
}

export function print(program, framework, gpu, cpu) {
  const report = { program, framework, ...gpu.report };
  if (cpu) report.reference = { ...cpu.report, error: worstError(gpu.tensors, cpu.tensors) };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function encode({ name, shape, data }) {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return { name, type: data.constructor.name, shape: Array.from(shape), base64: bytes.toString('base64') };
}

function worstError(tensors, references) {
  return Math.max(...tensors.map(({ data }, index) => relativeError(data, references[index].data)));
}

function relativeError(values, references) {
  let difference = 0;
  let scale = 0;
  for (let i = 0; i < references.length; i++) {
    difference = Math.max(difference, Math.abs(values[i] - references[i]));
    scale = Math.max(scale, Math.abs(references[i]));
  }
  return difference / scale;
}
