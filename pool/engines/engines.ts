import { DockerEngine, type DockerSettings } from './docker/docker.js';
import type { Engine } from './engine.js';
import { KubernetesEngine } from './kubernetes/kubernetes.js';
import type { KubernetesSettings } from './kubernetes/kubernetes-text.js';
import { LocalEngine } from './local.js';
import { SlurmEngine } from './slurm/slurm.js';
import type { SlurmSettings } from './slurm/slurm-rest.js';

/** The settings of engines, by the engines' names. Those without settings find their site by the environment. */
export interface EngineSettings {
  readonly docker?: DockerSettings;
  readonly kubernetes?: KubernetesSettings;
  readonly slurm?: SlurmSettings;
}

/** The engines, by the names that pool files use. */
export const ENGINES = {
  local: () => new LocalEngine(),
  slurm: (settings?: EngineSettings) => new SlurmEngine(settings?.slurm),
  kubernetes: (settings?: EngineSettings) => new KubernetesEngine(settings?.kubernetes),
  docker: (settings?: EngineSettings) => new DockerEngine(settings?.docker),
} satisfies Record<Engine['name'], (settings?: EngineSettings) => Engine>;
