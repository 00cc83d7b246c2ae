import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { LONGEST, SLOW } from './test/slow-files.js';
import { needsOwnProcess, testFiles } from './test/support/machine/own-process.js';

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}`));
      return found < 0 ? LONGEST.length : found;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** These would gain little from a process that they share. */
const LONG = new Set([...LONGEST, ...SLOW]);
const FILES = testFiles('test');
const OWN = FILES.filter((file) => LONG.has(file) || needsOwnProcess(file));
const SHARED = FILES.filter((file) => !OWN.includes(file));

/**
 * The files of these patterns, in two groups: those with a process each, and those that share a process for each worker.
 */
export function inTwoGroups(include: string[], exclude: string[] = []) {
  return [
    { extends: true as const, test: { name: 'own', include, exclude: [...exclude, ...SHARED] } },
    {
      extends: true as const,
      test: {
        name: 'shared',
        include,
        exclude: [...exclude, ...OWN],
        isolate: false,
        setupFiles: ['test/support/machine/shared-process.ts'],
      },
    },
  ];
}

export default defineConfig({
  test: {
    // FARLIGHT_TESTS names the files to run where no argument can: patterns, with commas between.
    projects: inTwoGroups(
      process.env.FARLIGHT_TESTS?.split(',') ?? ['test/**/*.test.ts', 'test/**/*.spec.ts'],
    ),
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
