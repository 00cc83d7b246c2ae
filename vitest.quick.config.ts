import { defineConfig } from 'vitest/config';
import { SLOW } from './test/slow-files.js';
import base, { inTwoGroups } from './vitest.config.js';

/** Rooms whose tests need no more than processes and the null adapter. */
const ROOMS =
  'ahead,canvas,client,contents,daemon,executor,gpu,infer,jobs,lines,link,park,pool,scripts,shard,stream,testing,trace,trust,wire';

/** WebGPU itself, locally and through Farlight: what each session does. */
const SPECS =
  'buffer-map-async,compute-pass,device-loss,error-scopes,lifetimes,ordering,queue,repetition,texture-copies';

/** `npm run test:quick`: a part of the suite that a person waits for, in under 90 s on two cores. */
export default defineConfig({
  test: {
    ...base.test,
    projects: inTwoGroups([`test/{${ROOMS}}/**/*.test.ts`, `test/conformance/{${SPECS}}.spec.ts`], SLOW),
  },
});
