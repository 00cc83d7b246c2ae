/** Where the conformance specs run in another runtime: through Farlight, on the host that FARLIGHT_HOST names. */
import { create, globals } from '#farlight/client/index.js';
import type { Globals, Target } from '../../support/gpus/targets.js';
import { observed } from './vitest.js';

export type * from '../../support/gpus/targets.js';

export const targets: readonly Target[] = [
  {
    name: 'host',
    open: async () => ({
      gpu: create(),
      globals: globals as unknown as Globals,
      newGpu: async () => create(),
      // The sessions end with the process, as a program's do.
      close: async () => {},
    }),
    observed,
  },
];
