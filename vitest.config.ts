import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take the longest, in this order. One of them at the end would leave the other workers idle. Files that compute
 * take turns with files that wait, so that the processors are busy and not crowded.
 */
const LONGEST = [
  'e2e/documented-commands',
  'jobs/run',
  'pool/on-slurm',
  'pool/attach',
  'pool/faults',
  'e2e/inference-examples',
  'pool/portal/portal',
  'pool/environment',
  'hostile/resume',
  'shard/wire',
  'e2e/libraries',
  'pool/engines/slurm-rest',
  'pool/engines/slurm',
  'e2e/cli',
  'e2e/frameworks',
  'shard/lost-hosts',
  'hostile/programs',
  'e2e/proxies',
  'pool/portal/page',
  'pool/engines/docker',
  'pool/on-docker',
  'pool/shared-files',
  'pool/several-hosts',
  'e2e/package',
  'page/page',
  'e2e/replay',
  'stream/commands',
  'client/compression',
  'e2e/pages',
  'hostile/openings',
  'e2e/engines',
  'shard/run-hosts',
  'hostile/lost-host',
  'shard/run',
  'hostile/tenants',
  'infer/faults/under-load',
  'hostile/fuzz',
].map((name) => `/${name}.test.ts`);

for (const name of LONGEST)
  if (!existsSync(`test${name}`)) throw new Error(`vitest.config.ts names test${name}, which is gone`);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = LONGEST.findIndex((name) => moduleId.endsWith(name));
      return found < 0 ? LONGEST.length : found;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    // FARLIGHT_TESTS names the files to run where no argument can: patterns, with commas between.
    include: process.env.FARLIGHT_TESTS
      ? process.env.FARLIGHT_TESTS.split(',')
      : ['test/**/*.test.ts', 'test/**/*.spec.ts'],
    // A file of specs gets a process of its own: Dawn is a native addon, and a crash of it fails that
    // file alone.
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // For two processors: with two workers these were busy for two thirds of the time, since many tests wait.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // On a machine that does other things, what is polled for may take longer than a second.
    expect: { poll: { timeout: 20_000 } },
    reporters: ['default'],
    // Node itself loads the built package, as it would for a program that depends on it.
    server: { deps: { external: [/\/dist\//] } },
  },
});
