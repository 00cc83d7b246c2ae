import { hasNear } from '../../../link/address/near-address.js';
import { processMemory } from './process-memory.js';

/** What a host finds on its system: on Linux both. */
export interface SystemHelp {
  /** How much memory a process has is told (`/proc`). */
  processMemory: boolean;
  /** Processes meet in memory that a folder stands for (`/dev/shm`). */
  sharedMemory: boolean;
}

/** What a host does otherwise than its documentation says, since its system does not help: a sentence each. */
export function shortcomings({ processMemory, sharedMemory }: SystemHelp = helpHere()): string[] {
  return [
    ...(processMemory
      ? []
      : ['--executor-memory is not held to: this system has no /proc that tells what memory a process has']),
    ...(sharedMemory
      ? []
      : [
          'programs of this machine reach the host by its port, and not through memory: there is no /dev/shm',
        ]),
  ];
}

function helpHere(): SystemHelp {
  return {
    processMemory: processMemory(process.pid) !== undefined,
    sharedMemory: hasNear(),
  };
}
