import { afterAll, beforeAll, expect, it } from 'vitest';
import '../support/session-reasons.js';
import { close, create } from '#farlight/client/index.js';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { CuttingProxy } from '../support/cutting-proxy.js';
import { countExactly } from '../support/lossy-programs.js';
import { runThroughFarlight } from '../support/program.js';
import { logUniform, seeded } from '../support/seeded.js';

/** How many cuts the models see. FARLIGHT_CUTS asks for more than the few of the suite. */
const wanted = process.env.FARLIGHT_CUTS ? Number(process.env.FARLIGHT_CUTS) : undefined;
const seed = Number(process.env.FARLIGHT_CUTS_SEED ?? 1);
const FEW = 8;
const MINUTES = 60_000;

let host: TestHost;
beforeAll(async () => {
  host = await testHost({ adapter: 'software', spares: 1 });
});
afterAll(() => host.close());

/** Cuts again and again once the host has welcomed the client, until there were `most` cuts. */
function cutOften(proxy: CuttingProxy, random: () => number, longest: number, most: number): void {
  const again = () => {
    if (proxy.cuts < most) proxy.cutAfter(logUniform(random, 1, longest));
  };
  const begin = setInterval(() => {
    // So much is said on a device alone, which a client has after Welcome.
    if (proxy.carried.up < 4000) return;
    clearInterval(begin);
    again();
  }, 1);
  proxy.onCut = again;
}

it(
  'a loop whose result depends on every command gives the same bits with 100 cuts in it as without',
  async () => {
    const uncut = create({ host: host.url });
    const STEPS = 300;
    const expected = await countExactly(uncut, STEPS);
    close(uncut);
    expect(new Set(expected).size).toBeGreaterThan(STEPS);

    const proxy = await CuttingProxy.start(host.url);
    const random = seeded(seed);
    proxy.onCut = () => {
      if (proxy.cuts < 100) proxy.cutAfter(logUniform(random, 1, 1500));
    };
    const gpu = create({ host: proxy.url });
    let steps = 0;
    const result = await countExactly(gpu, STEPS, () => {
      steps += 1;
      if (steps === 2) proxy.onCut?.();
    });
    close(gpu);
    expect(Buffer.compare(Buffer.from(result.buffer), Buffer.from(expected.buffer))).toBe(0);
    expect(proxy.cuts).toBe(100);
    await proxy.close();
  },
  5 * MINUTES,
);

it(
  `MoveNet and Silero give the same bits with ${wanted ?? 'some'} cuts in them as without`,
  async () => {
    const programs = ['movenet', 'silero'];
    const expected = new Map<string, unknown>();
    for (const program of programs) {
      expected.set(program, (await runThroughFarlight(host.url, program)).outputs);
    }
    const random = seeded(seed);
    const most = wanted ?? 2 * FEW;
    let cuts = 0;
    for (let run = 0; run < programs.length || cuts < most; run++) {
      const program = programs[run % programs.length] as string;
      const proxy = await CuttingProxy.start(host.url);
      cutOften(
        proxy,
        random,
        wanted === undefined ? 128 << 10 : 2 << 20,
        wanted === undefined ? FEW : most - cuts,
      );
      const { outputs } = await runThroughFarlight(proxy.url, program);
      expect(outputs).toEqual(expected.get(program));
      expect(proxy.cuts).toBeGreaterThan(0);
      cuts += proxy.cuts;
      if (wanted !== undefined) console.log(`${program}: ${proxy.cuts} cuts in this run, ${cuts} of ${most}`);
      await proxy.close();
    }
  },
  wanted === undefined ? 5 * MINUTES : 24 * 60 * MINUTES,
);
