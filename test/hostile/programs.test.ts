import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import '../support/hosts/session-reasons.js';
import { close, create, stats } from '#farlight/client/index.js';
import { type CutHost, DIRECT, THROUGH_NGINX } from '../support/lines/cut-ways.js';
import type { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { countExactly } from '../support/programs/lossy-programs.js';
import { runThroughFarlight } from '../support/programs/program.js';
import { logUniform, seeded } from '../support/random/seeded.js';

/** How many cuts the models see. FARLIGHT_CUTS asks for more than the few of the suite. */
const wanted = process.env.FARLIGHT_CUTS ? Number(process.env.FARLIGHT_CUTS) : undefined;
const seed = Number(process.env.FARLIGHT_CUTS_SEED ?? 1);
/** What the models' connections go through: FARLIGHT_CUTS_THROUGH=nginx. */
const modelsThrough = process.env.FARLIGHT_CUTS_THROUGH === 'nginx' ? THROUGH_NGINX : DIRECT;
const FEW = 8;
/** Silero reads most often. MoveNet compiles for half a minute on a software GPU. */
const PROGRAMS = wanted === undefined ? ['silero'] : ['movenet', 'silero'];
/** Cuts of the loop, at each place, and its steps. */
const LOOP_CUTS = 20;
const STEPS = 120;
const MINUTES = 60_000;

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

afterEach(() => vi.unstubAllEnvs());

describe.each([DIRECT, THROUGH_NGINX])('over $name', (cuttable) => {
  describe.skipIf(cuttable.missing)('(needs: apt-get install nginx, where it is through that)', () => {
    let host: CutHost;
    beforeAll(async () => {
      host = await cuttable.start();
    });
    afterAll(() => host.close());

    it(
      'a loop whose result depends on every command gives the same bits with cuts in each place as without',
      async () => {
        const uncut = create({ host: host.url, ahead: 'on' });
        const expected = await countExactly(uncut, STEPS);
        expect(stats(uncut).waitsSaved).toBeGreaterThan(0);
        close(uncut);
        expect(new Set(expected).size).toBeGreaterThan(STEPS);

        const random = seeded(seed);
        for (let way = 0; way < cuttable.places; way += 1) {
          const { url, cutter } = await host.way();
          cutter.onCut = () => {
            if (cutter.cuts < LOOP_CUTS) cutter.cutAfter(logUniform(random, 1, cuttable.often));
          };
          const gpu = create({ host: url, ahead: 'on' });
          let steps = 0;
          const result = await countExactly(gpu, STEPS, () => {
            steps += 1;
            if (steps === 2) cutter.onCut?.();
          });
          expect(stats(gpu).waitsSaved).toBeGreaterThan(0);
          close(gpu);
          expect(Buffer.compare(Buffer.from(result.buffer), Buffer.from(expected.buffer))).toBe(0);
          expect(cutter.cuts).toBe(LOOP_CUTS);
          await cutter.close();
        }
      },
      5 * MINUTES,
    );

    if (cuttable !== modelsThrough) return;
    it(
      `${PROGRAMS.join(' and ')} give the same bits with reads ahead and ${wanted ?? 'some'} cuts in them as without`,
      async () => {
        vi.stubEnv('FARLIGHT_AHEAD', 'off');
        const expected = new Map<string, unknown>();
        for (const program of PROGRAMS) {
          expected.set(program, (await runThroughFarlight(host.url, program)).outputs);
        }
        vi.stubEnv('FARLIGHT_AHEAD', 'on');
        const random = seeded(seed);
        const most = wanted ?? FEW;
        let cuts = 0;
        let waitsSaved = 0;
        for (let run = 0; run < PROGRAMS.length || cuts < most; run++) {
          // Each program at each place.
          const program = PROGRAMS[Math.floor(run / cuttable.places) % PROGRAMS.length] as string;
          const { url, cutter } = await host.way();
          cutOften(
            cutter,
            random,
            wanted === undefined ? 128 << 10 : 2 << 20,
            wanted === undefined ? FEW : most - cuts,
          );
          const { outputs, ledger } = await runThroughFarlight(url, program);
          expect(outputs).toEqual(expected.get(program));
          expect(cutter.cuts).toBeGreaterThan(0);
          cuts += cutter.cuts;
          const saved = ledger.reduce((sum, run) => sum + (run.waitsSaved ?? 0), 0);
          waitsSaved += saved;
          if (wanted !== undefined)
            console.log(
              `${program}: ${cutter.cuts} cuts in this run, ${cuts} of ${most}; ${saved} waits saved`,
            );
          await cutter.close();
        }
        expect(waitsSaved).toBeGreaterThan(0);
      },
      wanted === undefined ? 5 * MINUTES : 24 * 60 * MINUTES,
    );
  });
});
