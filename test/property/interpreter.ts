import { setImmediate as turn } from 'node:timers/promises';
import { creating } from './creating.js';
import { encoding } from './encoding.js';
import type { Name, Operation } from './operations.js';
import type { Program } from './programs.js';
import { readBack } from './read-back.js';
import { describe, Missing, type Observations, Run } from './run.js';
import { using } from './using.js';

const INTERPRETERS = { ...creating, ...encoding, ...using } as {
  [N in Exclude<Name, 'settle' | 'tick'>]: (run: Run, op: Operation<N>) => unknown;
};

/** Operations that make objects which never change. */
const IMMUTABLE: ReadonlySet<Name> = new Set([
  'view',
  'sampler',
  'shader',
  'bindGroupLayout',
  'pipelineLayout',
  'computePipeline',
  'renderPipeline',
  'pipelineGroupLayout',
  'bindGroup',
]);

/**
 * Runs a program on a GPU, with devices of its own, and returns everything that it could see. `times`: how
 * often it makes each object that never changes, with the same descriptor.
 */
export async function interpret(gpu: GPU, program: Program, times = 1): Promise<Observations> {
  const needsTwo = program.some((op) => 'device' in op && op.device === 1);
  const devices = [await newDevice(gpu), ...(needsTwo ? [await newDevice(gpu)] : [])];
  const run = new Run(devices);
  try {
    for (const [at, op] of program.entries()) {
      run.begin(at, op.op);
      try {
        // Nothing else lets the event loop turn. So the immediate results depend on no timing.
        if (op.op === 'settle') await run.settle();
        else if (op.op === 'tick') await undefined;
        else for (let count = IMMUTABLE.has(op.op) ? times : 1; count > 0; count -= 1) step(run, op);
      } catch (error) {
        run.note(error instanceof Missing ? `no ${error.message}` : `throws ${(error as Error).name}`);
      }
    }
    run.begin(program.length, 'settle');
    await finish(run);
  } finally {
    for (const device of devices) device.destroy();
  }
  for (const { lost } of devices) run.calls.push(`lost: ${(await lost).reason}`);
  return run;
}

function step(run: Run, op: Exclude<Operation, { op: 'settle' | 'tick' }>): unknown {
  return INTERPRETERS[op.op](run, op as never);
}

async function newDevice(gpu: GPU): Promise<GPUDevice> {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('there is no adapter');
  return adapter.requestDevice();
}

/** Reads the rest: the contents of all objects, the errors in scopes, and those that no scope caught. */
async function finish(run: Run): Promise<void> {
  await run.settle();
  await readBack(run);
  for (const [index, open] of run.scopes.entries())
    for (let left = open; left > 0; left -= 1) run.watch(run.device(index).popErrorScope(), describe);
  for (const device of run.devices) run.watch(device.queue.onSubmittedWorkDone());
  await run.settle();
  // An event is a task of its own and may come right after a promise.
  await turn();
  run.note(`ranges of ${run.ranges.map((range) => range.byteLength).join()} bytes`);
}
