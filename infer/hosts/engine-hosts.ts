import { availableParallelism } from 'node:os';
import { fixedMemory } from '../engine/host-memory.js';
import type { EngineHost } from '../engine/hosts.js';
import { openFunctionLane } from '../lanes/functions/function-lane.js';
import { openGpuLane } from '../lanes/gpu/gpu-lane.js';
import { LiveMemory } from './live-memory.js';

export interface GpuHostOptions {
  /** The host's address. */
  readonly url: string;
  /** Its name in messages, without a token. */
  readonly name: string;
  /** How many lanes to open there. */
  readonly lanes: number;
  /** The most bytes of its GPU's memory to use; undefined: all that the host tells. */
  readonly bytes?: number | undefined;
}

/** A host with what has to be ended with it. */
export interface OpenHost {
  readonly host: EngineHost;
  /** Which GPU it has. */
  readonly adapter: string;
  close(): void;
}

/** @throws FarlightError (rejects) where the host cannot be reached, or has no memory that is known. */
export async function gpuHost({ url, name, lanes, bytes }: GpuHostOptions): Promise<OpenHost> {
  const memory = await LiveMemory.open(name, { host: url }, bytes);
  const openLane = (lane: string) => openGpuLane({ name: lane, host: url });
  const host: EngineHost = { name, resource: 'gpu', lanes, memory, openLane };
  return { host, adapter: memory.adapter, close: () => memory.close() };
}

/** Functions that mostly wait: more of them than cores. */
const WAITING_LANES = 8;

/** Lanes of this machine for the functions of graphs. */
export function functionHosts(): EngineHost[] {
  const memory = fixedMemory(0);
  const openLane = (name: string) => openFunctionLane({ name });
  const cores = Math.max(1, availableParallelism());
  return [
    { name: 'functions', resource: 'cpu', lanes: cores, memory, openLane },
    { name: 'waiting functions', resource: 'network', lanes: WAITING_LANES, memory, openLane },
  ];
}
