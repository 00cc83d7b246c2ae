import { availableParallelism } from 'node:os';
import { type CreateOptions, close, create, gpuMemory, type MemoryState } from '../../client/index.js';
import { type Clock, PROCESS_CLOCK } from '../../link/machine/timer.js';
import { FarlightError } from '../../proto/errors.js';
import { fixedMemory } from '../engine/host-memory.js';
import type { EngineHost } from '../engine/hosts.js';
import { FunctionLane } from '../lanes/functions/function-lane.js';
import { type GpuLaneOptions, openGpuLane } from '../lanes/gpu/gpu-lane.js';
import { GpuTimes } from '../lanes/gpu/gpu-times.js';
import { LanesMemory } from './lanes-memory.js';

/** The name is the host's, in messages: without a token. */
export interface GpuHostOptions extends GpuLaneOptions {
  /** How many lanes to open there. */
  readonly lanes: number;
  /** The most bytes of its GPU's memory to use; undefined: all that the host tells. */
  readonly memory?: number | undefined;
  readonly clock?: Clock;
}

export interface GpuHost extends EngineHost {
  /** Which GPU it has. */
  readonly adapter: string;
  readonly address: string;
  readonly memory: LanesMemory;
}

/**
 * A host whose lanes run models. It opens none yet.
 * @throws FarlightError (rejects) where the host cannot be reached, does not tell of its memory, or has no memory that is
 * known.
 */
export async function gpuHost({
  name,
  lanes,
  memory: most,
  clock = PROCESS_CLOCK,
  ...way
}: GpuHostOptions): Promise<GpuHost> {
  const { adapter, state } = await ask(name, way);
  const memory = new LanesMemory({ name, clock, limit: state.limit, most });
  const times = new GpuTimes();
  return {
    name,
    resource: 'gpu',
    lanes,
    memory,
    adapter,
    address: way.host,
    async openLane(lane) {
      const opened = await openGpuLane({ ...way, name: lane }, times);
      try {
        memory.add(opened);
      } catch (error) {
        await opened.close();
        throw error;
      }
      return opened;
    },
  };
}

/** Which GPU a host has, and its memory. The session for it is closed then: an executor of the host is free for a lane. */
async function ask(name: string, way: CreateOptions): Promise<{ adapter: string; state: MemoryState }> {
  const gpu = create(way);
  try {
    const adapter = await gpu.requestAdapter();
    if (!adapter)
      throw new FarlightError(
        'NO_ADAPTER',
        `${name} has no GPU that it can open; run farlight doctor there to see why`,
      );
    const { vendor, architecture, device, description } = adapter.info;
    return {
      adapter: [vendor, architecture, device, description].join(' ').trim(),
      state: await gpuMemory(gpu).read(),
    };
  } finally {
    close(gpu);
  }
}

/** Functions that mostly wait: more of them than cores. */
const WAITING_LANES = 8;

/** Lanes of this machine for the functions of graphs. */
export function functionHosts(): EngineHost[] {
  const memory = fixedMemory(0);
  const openLane = (name: string) => Promise.resolve(new FunctionLane({ name, holdsFiles: true }));
  const cores = Math.max(1, availableParallelism());
  return [
    { name: 'functions', resource: 'cpu', lanes: cores, memory, openLane },
    { name: 'waiting functions', resource: 'network', lanes: WAITING_LANES, memory, openLane },
  ];
}
