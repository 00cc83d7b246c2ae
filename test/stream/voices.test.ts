import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { runFarlight } from '../support/hosts/farlight-command.js';
import { HAS_NATS } from '../support/lines/nats-server.js';
import { until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';
import { Arrivals } from './support/arrivals.js';
import { Cluster, type Line } from './support/cluster.js';
import {
  expected,
  FIRST,
  fileText,
  type Heard,
  makeExample,
  probabilitiesOf,
  setRates,
  type Version,
} from './support/voices.js';

/**
 * The long form (`npm run stream-voices`) runs Silero, and measures: it takes minutes. The short form has a small network in
 * its place, which a machine can run that does other things.
 */
const IS_LONG = process.env.FARLIGHT_VOICES !== undefined;
const MICROPHONES = Number(process.env.FARLIGHT_VOICES ?? 6);
const WORKERS = 3;
/** Seconds of sound of each microphone. */
const SECONDS = IS_LONG ? 60 : 20;
const RECORDS = Math.floor((SECONDS * 16_000) / 512);
/** Records of a microphone each second in the short form, and how many show the capacity in the long one. */
const RATE = 4;
const FIRST_RECORDS = 12;
/** The microphones of the long form have rates from 0.95 to 1.05 of their mean, and after ten records they are out of step. */
const SPREAD = 0.05;
const RECORDS_IN_STEP = 10;
/** How long the usual time between outputs is looked at in the long form. */
const LOOK_MS = 20_000;

const temporary = folders();
afterAll(() => temporary.remove());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The change of each upgrade; undefined for a rollback. */
const ALL_UPGRADES: readonly (Partial<Version> | undefined)[] = [
  { threshold: 'decideClearly' },
  { model: 2 },
  { isLoud: true },
  { isLoud: false },
  undefined,
  { threshold: 'decide' },
  { model: 1 },
  { isSmooth: true },
  { isSmooth: false },
  undefined,
];
const UPGRADES = ALL_UPGRADES.slice(0, IS_LONG ? ALL_UPGRADES.length : 3);

describe('the example of voices on three workers, each with a GPU host of its own', () => {
  it.skipIf(!HAS_NATS)(
    `hears each record of ${MICROPHONES} microphones once and in order, through ${UPGRADES.length} upgrades in a row (needs: apt-get install nats-server)`,
    async () => {
      const cluster = await Cluster.start(temporary.make(), cleanups);
      const here = (path: string) => join(cluster.folder, path);
      makeExample(
        cluster.folder,
        { microphones: MICROPHONES, seconds: SECONDS, maxBatch: IS_LONG ? 16 : 2 },
        IS_LONG ? 'silero' : 'loudest',
      );
      let pace: number | 'fast';
      const write = (version: Version) => cluster.write('app.yaml', fileText(version, pace));
      const seen = new Arrivals(here('heard.jsonl'));
      cleanups.push(() => seen.close());
      const slow = setRates(here('sounds'), { perSecond: RATE, records: IS_LONG ? FIRST_RECORDS : RECORDS });
      pace = IS_LONG ? 'fast' : slow.pace;
      write(FIRST);
      const coordinator = await cluster.coordinate('--no-dashboard');
      const workers = await Promise.all(
        Array.from({ length: WORKERS }, () => cluster.work('--adapter', 'software')),
      );
      const playing = (mark: number) =>
        until(
          () => seen.marks.size === MICROPHONES && [...seen.marks.values()].every((each) => each === mark),
        );
      await playing(FIRST.mark);
      const versions = [FIRST];
      if (IS_LONG) {
        // All as fast as possible: the last three quarters show the capacity.
        const all = MICROPHONES * FIRST_RECORDS;
        await until(() => seen.count >= all / 4);
        const [from, start] = [seen.count, performance.now()];
        await until(() => seen.count === all);
        const capacity = (all - from) / ((performance.now() - start) / 1000);
        // From now on the microphones play in slow motion, at half of it.
        const rate = capacity / 2 / MICROPHONES;
        const half = setRates(here('sounds'), { perSecond: rate, records: RECORDS, spread: SPREAD });
        seen.periods = half.periods;
        pace = half.pace;
        write(FIRST);
        await upgrade(cluster.file);
        // Both models run on all workers once before it counts.
        for (const model of [2, 1] as const) {
          versions.push({ ...FIRST, model, mark: UPGRADES.length + model });
          write(versions.at(-1) as Version);
          await upgrade(cluster.file);
          await playing(UPGRADES.length + model);
        }
        await until(() => seen.count > all + RECORDS_IN_STEP * MICROPHONES);
        seen.forget();
        await pause(2 * LOOK_MS);
        console.log(
          `${capacity.toFixed(1)} records/s are the most; now ${rate.toFixed(2)} of each microphone`,
        );
        console.log(`without upgrades: ${seen.gaps}`);
      }
      for (const [at, change] of UPGRADES.entries()) {
        seen.forget();
        const start = performance.now();
        const last = versions.at(-1) as Version;
        if (change) {
          const next = { ...last, ...change, mark: at + 1 };
          write(next);
          await upgrade(cluster.file, ...(last.isSmooth && !next.isSmooth ? ['--drop', 'smooth'] : []));
          versions.push(next);
        } else {
          await asked('rollback', cluster.file);
          versions.push(versions.at(-2) as Version);
        }
        const took = performance.now() - start;
        await playing((versions.at(-1) as Version).mark);
        if (IS_LONG) await pause(LOOK_MS / 2);
        console.log(`upgrade ${at + 1} in ${took.toFixed(0)} ms: ${seen.gaps}`);
      }
      const nowhere = await cluster.workInVain('--host', 'grpc://127.0.0.1:9');
      expect(nowhere.printed.stdout).toMatch(/^farlight stream worker waits, .* no farlight host at \S+:9 /);
      // Workers report four times a second.
      const status = async () => (await runFarlight(['stream', 'status', cluster.file])).stdout;
      await expect
        .poll(status, { timeout: 30_000 })
        .toMatch(/^worker \S+ gets no partitions: no farlight host at \S+:9 /m);
      nowhere.child.kill('SIGTERM');
      expect(await nowhere.done, nowhere.printed.stderr).toMatchObject({ code: 0 });
      for (const { child } of workers) child.kill('SIGTERM');
      for (const { done, printed } of workers) expect(await done, printed.stderr).toMatchObject({ code: 0 });
      coordinator.child.kill('SIGTERM');
      expect(await coordinator.done, coordinator.printed.stderr).toMatchObject({ code: 0 });

      // A gap may have its reason there.
      if (IS_LONG) for (const { printed } of [coordinator, ...workers]) console.log(printed.stderr);
      const heard = cluster.lines<Heard>('heard.jsonl');
      expect(new Set(heard.map(({ id }) => id)).size).toBe(heard.length);
      const events = cluster.lines<{ event: string }>('speech.jsonl');
      const loud = cluster.lines<{ loudness: number }>('loud.jsonl');
      const model = await ort.InferenceSession.create(readFileSync(here('models/silero/1/model.onnx')));
      let difference = 0;
      for (const name of seen.marks.keys()) {
        const mine = heard.filter(({ key }) => key === name);
        // None is lost, none is there twice, and they are in order.
        expect(mine.map(({ values }) => values.count)).toEqual(mine.map((_, at) => at + 1));
        expect(mine.map(({ offset }) => offset)).toEqual(
          mine.map(({ offset }) => offset).sort((a, b) => a - b),
        );
        // Each microphone passes from one version to the next, at one cut.
        const passed = mine.map(({ values }) => values.mark);
        expect(passed.filter((mark, at) => mark !== passed[at - 1])).toEqual(
          versions.map(({ mark }) => mark),
        );
        const truth = await probabilitiesOf(model, here(join('sounds', name)), mine.length);
        for (const [at, { values }] of mine.entries())
          difference = Math.max(difference, Math.abs(values.probability - (truth[at] ?? Number.NaN)));
        // Thresholds, and steps that come and go, hold from the cut on, and states go on over all cuts.
        const wanted = expected(mine, versions);
        // The last record was on its way when the application ended: sinks may have some of its outputs.
        const last = mine.at(-1)?.offset ?? 0;
        const isWhole = ({ key, offset }: Line<unknown>) => key === name && offset <= last;
        const told = events.filter(isWhole);
        expect(told.map(({ offset, values }) => `${offset} ${values.event}`)).toEqual(wanted.events);
        expect(loud.filter(isWhole).map(({ offset }) => offset)).toEqual(wanted.loud);
      }
      await model.release();
      // The bound of the example that runs Silero alone.
      expect(difference).toBeLessThan(1e-3);
      console.log(
        `${heard.length} outputs, ${events.length} events, difference ${difference.toExponential(1)}`,
      );
    },
    IS_LONG ? 3_600_000 : 240_000,
  );
});

function upgrade(file: string, ...args: readonly string[]): Promise<void> {
  return asked('upgrade', file, ...args);
}

async function asked(command: string, file: string, ...args: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await runFarlight(['stream', command, file, ...args]);
  expect(code, stdout + stderr).toBe(0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
