import type { Command } from 'commander';
import { addLimitOptions, HOST_LIMITS, tenantLimits } from './limit-options.js';
import { type LogOptions, logOption, openLog } from './log-option.js';
import { parseSize, timeOption } from './units.js';

/** Options of a host's owner for its sessions and its log, beside the limits of each tenant. */
export interface HostOptions extends LogOptions {
  gpuSeconds: number;
  executorMemory?: number;
  executorsMemory?: number;
  gpuCapacity?: number;
  drain: number;
}

export function addHostOptions(command: Command): Command {
  return addLimitOptions(command, 'limit of each tenant: ', { names: HOST_LIMITS })
    .addOption(
      timeOption(
        '--gpu-seconds <time>',
        'end a session when the GPU has not finished its work after this time (90s, 10m); 0: never',
        120,
      ),
    )
    .option(
      '--gpu-capacity <size>',
      'GPU memory of the buffers and textures of all tenants together; 0: no limit (default: what the GPU has, less a margin)',
      parseSize,
    )
    .option(
      '--executor-memory <size>',
      "end a session whose process takes more of this machine's memory; 0: never (default: half of it)",
      parseSize,
    )
    .option(
      '--executors-memory <size>',
      'end a process when the processes of all sessions together take more memory; 0: never (default: three quarters of it)',
      parseSize,
    )
    .addOption(
      timeOption(
        '--drain <time>',
        'on SIGTERM, how long running sessions may go on (60s, 10m); new sessions are refused',
        0,
      ),
    )
    .addOption(logOption());
}

/** The options of the daemon that these become. */
export async function daemonOptions(options: HostOptions) {
  const { gpuSeconds, executorMemory, executorsMemory, gpuCapacity } = options;
  const gpuMs = gpuSeconds * 1000;
  return {
    gpuMs,
    executorBytes: executorMemory,
    executorsBytes: executorsMemory,
    gpuCapacity,
    tenantLimits: tenantLimits(options),
    log: await openLog(options),
  };
}
