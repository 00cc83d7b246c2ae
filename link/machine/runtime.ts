/** The JavaScript runtime of this process. */
export type RuntimeName = 'Node' | 'Deno' | 'Bun';

export function runtimeName(versions: NodeJS.ProcessVersions = process.versions): RuntimeName {
  if (versions.bun) return 'Bun';
  return versions.deno ? 'Deno' : 'Node';
}
