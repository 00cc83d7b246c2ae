import { execFileSync } from 'node:child_process';

/** Why this machine cannot run a site of a test's own; undefined where it can. `packages`: those that have the programs. */
export function whyCannot(site: string, programs: readonly string[], packages: string): string | undefined {
  if (process.getuid?.() !== 0) return `${site} is started by root`;
  try {
    for (const program of programs) execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return undefined;
  } catch {
    return `apt-get install ${packages}`;
  }
}
