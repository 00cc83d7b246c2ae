import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { REPOSITORY } from '../support/repository.js';

/** `import 'X'`, `import Y from 'X'` and `export Y from 'X'`, as the compiler writes them. */
const IMPORT = /^(?:import |(?:import|export) [\w*{}, \n]+ from )'([^'\n]+)'/gm;

/** The packages that a module of dist/ loads with itself, and not when it first needs them. */
function packagesOf(module: string): string[] {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const open = [join(REPOSITORY, 'dist', module)];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(IMPORT)) {
      if (name.startsWith('.')) open.push(join(dirname(path), name));
      else if (!name.startsWith('node:')) packages.add(name);
    }
  }
  return [...packages].sort();
}

it.each([
  ['server/daemon.js', []],
  ['server/observatory/json-log.js', ['#packages/pino.js']],
  ['server/daemon/door/web-sessions.js', ['#packages/ws.js']],
  ['cli/pool/job-commands.js', ['#packages/commander.js']],
  ['pool/definition/pool-file.js', ['#packages/yaml.js']],
])('%s loads no package but %j, each as one file', (module, packages) => {
  expect(packagesOf(module)).toEqual(packages);
});
