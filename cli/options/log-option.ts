import { Option } from 'commander';
import { LOG_LEVELS, type Log, type LogLevel } from '../../server/observatory/log.js';

export interface LogOptions {
  logLevel?: LogLevel;
}

export function logOption(): Option {
  return new Option(
    '--log-level <level>',
    'the lowest level that is logged, as JSON lines on stderr (default: info, or warn on a terminal)',
  ).choices(LOG_LEVELS);
}

export async function openLog({ logLevel }: LogOptions): Promise<Log> {
  // Loaded here, so that other commands need not wait for it.
  const { jsonLog } = await import('../../server/observatory/json-log.js');
  return jsonLog(logLevel ?? (process.stderr.isTTY ? 'warn' : 'info'));
}
