import { readFileSync } from 'node:fs';

let version: string | undefined;

/** The farlight package's version, for messages to people. */
export function packageVersion(): string {
  // The compiled files lie one folder deeper than the sources.
  const file = new URL('../../package.json', import.meta.url);
  version ??= (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  return version;
}
