import { type Command, Option } from 'commander';
import { LOG_LEVELS, type LogLevel } from '../../server/observatory/log.js';
import { addLimitOptions, type LimitOptions, tenantLimits } from './limit-options.js';
import { parseSeconds, parseSize } from './units.js';

/** What the owner of a host decides about its sessions and its log. */
export interface HostOptions extends LimitOptions {
  gpuSeconds: number;
  executorMemory?: number;
  executorsMemory?: number;
  drain: number;
  logLevel?: LogLevel;
}

export function addHostOptions(command: Command): Command {
  return addLimitOptions(command, 'what each tenant may have: ')
    .option(
      '--gpu-seconds <seconds>',
      'end a session when the GPU does not finish its work for so long; 0: never',
      parseSeconds,
      120,
    )
    .option(
      '--executor-memory <size>',
      "end a session whose process has more of this machine's memory; 0: never (default: half of it)",
      parseSize,
    )
    .option(
      '--executors-memory <size>',
      'end a process when those of all sessions have more of it together; 0: never (default: three quarters of it)',
      parseSize,
    )
    .option(
      '--drain <seconds>',
      'on SIGTERM, how long running sessions may take to end; new ones are refused',
      parseSeconds,
      0,
    )
    .addOption(
      new Option(
        '--log-level <level>',
        'what is logged, as JSON lines on stderr (default: info, or warn on a terminal)',
      ).choices(LOG_LEVELS),
    );
}

/** What a daemon takes of them. */
export async function daemonOptions(options: HostOptions) {
  const { gpuSeconds, executorMemory, executorsMemory, logLevel } = options;
  // Loaded here so that the other commands need not wait for it.
  const { jsonLog } = await import('../../server/observatory/json-log.js');
  const log = jsonLog(logLevel ?? (process.stderr.isTTY ? 'warn' : 'info'));
  const gpuMs = gpuSeconds * 1000;
  return {
    gpuMs,
    executorBytes: executorMemory,
    executorsBytes: executorsMemory,
    tenantLimits: tenantLimits(options),
    log,
  };
}
