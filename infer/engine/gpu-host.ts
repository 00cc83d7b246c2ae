import { type Clock, PROCESS_CLOCK } from '../../link/machine/timer.js';
import { type GpuLaneOptions, openGpuLane } from '../lanes/gpu/gpu-lane.js';
import type { EngineHost } from './hosts.js';
import { LanesMemory } from './lanes-memory.js';

export interface GpuHostOptions extends GpuLaneOptions {
  readonly lanes: number;
  /** The most bytes that its lanes may use. What the host itself says holds, too. */
  readonly memory?: number | undefined;
  readonly clock?: Clock;
}

/** A GPU host whose lanes run models, and learn from it how much memory they may use. */
export function gpuHost({
  name,
  lanes,
  memory: most,
  clock = PROCESS_CLOCK,
  ...way
}: GpuHostOptions): EngineHost {
  const memory = new LanesMemory({ clock, most });
  return {
    name,
    resource: 'gpu',
    lanes,
    memory,
    async openLane(lane) {
      const opened = await openGpuLane({ ...way, name: lane });
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
