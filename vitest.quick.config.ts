import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import base from './vitest.config.js';

/** Rooms whose tests need no more than processes and the null adapter. */
const ROOMS =
  'ahead,canvas,client,contents,daemon,executor,gpu,infer,link,pool,scripts,shard,testing,trace,trust,wire';

/** WebGPU itself, locally and through Farlight: what each session does. */
const SPECS =
  'buffer-map-async,compute-pass,device-loss,error-scopes,lifetimes,ordering,queue,repetition,texture-copies';

/** Files of those rooms that take more than 2 s each on a quiet machine. */
const SLOW = [
  'client/compression',
  'client/process-exit',
  'client/texture-parts',
  'client/transport',
  'contents/content-eviction',
  'contents/content-processes',
  'contents/driver-shaders',
  'daemon/compiled-ahead',
  'daemon/executor-memory',
  'daemon/executor-pool',
  'daemon/grpc-sessions',
  'daemon/many-sessions',
  'daemon/warm-executors',
  'executor/gpu-memory-limit',
  'executor/gpu-seconds',
  'executor/wire-limits',
  'infer/any-trace',
  'infer/faults/under-load',
  'infer/lanes/function-lane',
  'infer/lanes/gpu-lane',
  'infer/lanes/lane-ends',
  'infer/optimum',
  'infer/protocol/foreign-clients',
  'infer/protocol/who-may',
  'link/channel-loss',
  'pool/attach',
  'pool/engines',
  'shard/lost-hosts',
  'shard/plan-model',
  'shard/room',
  'shard/run',
  'shard/run-hosts',
  'shard/search',
  'shard/signatures',
  'shard/wire',
  'testing/emulator',
  'trust/harmless',
].map((name) => `test/${name}.test.ts`);

for (const file of SLOW)
  if (!existsSync(file)) throw new Error(`vitest.quick.config.ts names ${file}, which is gone`);

/** `npm run test:quick`: a part of the suite that a person waits for, in under 90 s on two cores. */
export default defineConfig({
  test: {
    ...base.test,
    include: [`test/{${ROOMS}}/**/*.test.ts`, `test/conformance/{${SPECS}}.spec.ts`],
    exclude: SLOW,
  },
});
