import type { Engine } from './engine.js';
import { LocalEngine } from './local.js';
import { SlurmEngine } from './slurm.js';

/** The engines, by the names that pool files use. */
export const ENGINES = { local: () => new LocalEngine(), slurm: () => new SlurmEngine() } satisfies Record<
  Engine['name'],
  () => Engine
>;
