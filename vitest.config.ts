import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // FARLIGHT_TESTS names the files to run where no argument can: patterns, with commas between.
    include: process.env.FARLIGHT_TESTS
      ? process.env.FARLIGHT_TESTS.split(',')
      : ['test/**/*.test.ts', 'test/**/*.spec.ts'],
    // A file of specs gets a process of its own: Dawn is a native addon, and a crash of it fails that
    // file alone.
    pool: 'forks',
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
