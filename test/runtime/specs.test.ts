import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '#farlight/server/daemon.js';
import { secureHosts } from '../support/hosts/secure-host.js';
import { allSpecs, BUN, bundleSpecs, DENO, NODE, runBundle, type SpecResult } from './spec-runs.js';

/**
 * Where runtimes differ: memory that is shared, transferred or collected, events and promises, numbers and iterables.
 * `npm run runtimes` runs all specs.
 */
const FEW = ['buffer-mapped-range', 'error-scopes', 'lifetimes', 'queue-write-buffer', 'webidl-sequences'];
const all = process.env.FARLIGHT_RUNTIME_SPECS === 'all';
const MINUTES = 60_000;

const hosts = secureHosts();
const bundle = join(hosts.folder(), 'specs.mjs');
let daemon: Daemon;
let url: string;
let inNode: SpecResult[];

beforeAll(async () => {
  const host = await hosts.start({ adapter: 'software', executorEntry: undefined, maxSessions: 10 });
  daemon = host.daemon;
  url = host.invite().url;
  await bundleSpecs(all ? allSpecs() : FEW, bundle);
  inNode = await runBundle(NODE, bundle, url);
}, 10 * MINUTES);
afterAll(() => hosts.close());

describe.each([BUN, DENO])('in $name over gRPC with TLS', (runtime) => {
  it.skipIf(!runtime.command)(
    'the conformance specs pass, and observe what they do in Node',
    async () => {
      const opened = daemon.counters.sessionsOpened;
      const results = await runBundle(runtime, bundle, url);
      expect(daemon.counters.sessionsOpened).toBeGreaterThan(opened);
      expect(results.filter(({ failure }) => failure !== undefined)).toEqual([]);
      expect(results).toEqual(inNode);
      expect(results.length).toBeGreaterThan(40);
    },
    10 * MINUTES,
  );
});
