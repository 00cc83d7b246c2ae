import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder below which Farlight keeps what a person decided and no program can make again. */
export function configFolder(): string {
  return join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'farlight');
}
