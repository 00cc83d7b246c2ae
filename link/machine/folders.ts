import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder below which Farlight keeps files that it can make again. It may not exist yet. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'farlight');
}

/** The folder below which Farlight keeps decisions of a person, which no program can make again. */
export function configFolder(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'farlight');
}

/** The folder for the state of work that runs, such as jobs of pools. Its files are useless when that work has ended. */
export function stateFolder(): string {
  return join(process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'farlight');
}
