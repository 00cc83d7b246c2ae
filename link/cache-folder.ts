import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder below which Farlight keeps what it can make again. Nobody may have made it yet. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'farlight');
}
