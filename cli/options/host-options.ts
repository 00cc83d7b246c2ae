import { type Command, Option } from 'commander';
import { LOG_LEVELS, type LogLevel } from '../../server/observatory/log.js';
import { addLimitOptions, tenantLimits } from './limit-options.js';
import { parseSeconds, parseSize } from './units.js';

/** Options of a host's owner for its sessions and its log, beside the limits of each tenant. */
export interface HostOptions {
  gpuSeconds: number;
  executorMemory?: number;
  executorsMemory?: number;
  gpuCapacity?: number;
  drain: number;
  logLevel?: LogLevel;
}

export function addHostOptions(command: Command): Command {
  return addLimitOptions(command, 'limit of each tenant: ')
    .option(
      '--gpu-seconds <seconds>',
      'end a session when the GPU has not finished its work after this time; 0: never',
      parseSeconds,
      120,
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
    .option(
      '--drain <seconds>',
      'on SIGTERM, how long running sessions may go on; new sessions are refused',
      parseSeconds,
      0,
    )
    .addOption(
      new Option(
        '--log-level <level>',
        'the lowest level that is logged, as JSON lines on stderr (default: info, or warn on a terminal)',
      ).choices(LOG_LEVELS),
    );
}

/** The options of the daemon that these become. */
export async function daemonOptions(options: HostOptions) {
  const { gpuSeconds, executorMemory, executorsMemory, gpuCapacity, logLevel } = options;
  // Loaded here, so that other commands need not wait for it.
  const { jsonLog } = await import('../../server/observatory/json-log.js');
  const log = jsonLog(logLevel ?? (process.stderr.isTTY ? 'warn' : 'info'));
  const gpuMs = gpuSeconds * 1000;
  return {
    gpuMs,
    executorBytes: executorMemory,
    executorsBytes: executorsMemory,
    gpuCapacity,
    tenantLimits: tenantLimits(options),
    log,
  };
}
