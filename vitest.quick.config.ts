import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import base from './vitest.config.js';

/** Rooms whose tests need no more than processes and the null adapter. */
const ROOMS =
  'ahead,canvas,client,contents,daemon,executor,gpu,infer,jobs,lines,link,park,pool,scripts,shard,stream,testing,trace,trust,wire';

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
  'daemon/daemon',
  'daemon/executor-memory',
  'daemon/executor-pool',
  'daemon/grpc-sessions',
  'daemon/many-sessions',
  'daemon/near-socket',
  'daemon/warm-executors',
  'daemon/web-sessions',
  'executor/gpu-memory-limit',
  'executor/gpu-seconds',
  'executor/wire-limits',
  'gpu/dawn-polls',
  'gpu/farlight-as-dawn',
  'infer/any-trace',
  'infer/engine/any-trace',
  'infer/engine/predicted',
  'infer/engine/real-lanes',
  'infer/faults/under-load',
  'infer/hosts/engine-hosts',
  'infer/lanes/function-lane',
  'infer/lanes/gpu-lane',
  'infer/lanes/lane-ends',
  'infer/lanes/missing-runtime',
  'infer/optimum',
  'infer/page/page',
  'infer/protocol/foreign-clients',
  'infer/protocol/grpc',
  'infer/protocol/http',
  'infer/protocol/http-limits',
  'infer/protocol/who-may',
  'infer/tracing/tracing',
  'jobs/run',
  'lines/hosts',
  'link/channel-loss',
  'park/faults',
  'park/sessions',
  'park/texels',
  'pool/attach',
  'pool/engines/docker',
  'pool/engines/kubernetes',
  'pool/engines/local',
  'pool/engines/slurm',
  'pool/engines/slurm-rest',
  'pool/environment',
  'pool/faults',
  'pool/on-docker',
  'pool/on-slurm',
  'pool/portal/page',
  'pool/portal/portal',
  'pool/several-hosts',
  'pool/shared-files',
  'shard/lost-hosts',
  'shard/plan-model',
  'shard/room',
  'shard/run',
  'shard/run-hosts',
  'shard/search',
  'shard/signatures',
  'shard/wire',
  'stream/camera',
  'stream/commands',
  'stream/machines',
  'stream/nats',
  'stream/page',
  'stream/voices',
  'stream/workers',
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
