import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Files that take the longest, in this order. One of them at the end would leave the other worker idle. Files that compute
 * take turns with files that wait, so that the processors are busy and not crowded.
 */
const LONGEST = [
  'e2e/documented-commands',
  'hostile/resume',
  'e2e/frameworks',
  'e2e/cli',
  'hostile/programs',
  'hostile/openings',
  'e2e/libraries',
  'e2e/proxies',
  'e2e/replay',
  'pool/attach',
  'jobs/run',
  'pool/faults',
  'pool/environment',
  'pool/several-hosts',
  'pool/portal/portal',
  'stream/commands',
  'infer/faults/under-load',
  'hostile/tenants',
  'e2e/pages',
  'hostile/lost-host',
  'hostile/fuzz',
  'e2e/package',
].map((name) => `/${name}.test.ts`);

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
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // On a machine that does other things, what is polled for may take longer than a second.
    expect: { poll: { timeout: 20_000 } },
    reporters: ['default'],
    // Node itself loads the built package, as it would for a program that depends on it.
    server: { deps: { external: [/\/dist\//] } },
  },
});
