import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Learned } from '#farlight/infer/learned/learned.js';
import { LearnedStore } from '#farlight/infer/learned/learned-store.js';
import { Times } from '#farlight/infer/learned/times.js';
import type { Affine } from '#farlight/infer/schedule/costs.js';

const LIMITS = { maxBatch: 100, guess: 1000, output: 0 };

/** The report of a run whose memory and times are lines of its batch. */
const report = (batch: number) => ({
  outputs: {},
  peak: 10 + 5 * batch,
  ms: 30 + 2 * batch,
  inputMs: 0,
  inferMs: 20 + 2 * batch,
  outputMs: 0,
});

/** A run in which the GPU worked for 3 ms on other lanes' runs. */
const gpuTime = (batch: number) => ({ ms: 8 + 2 * batch, busyMs: 11 + 2 * batch });

function run(learned: Learned, batch: number): void {
  learned.ran(batch, report(batch).peak);
  learned.took(batch, report(batch), gpuTime(batch), false);
}

function learnedOf(...batches: number[]): Learned {
  const learned = new Learned();
  for (const batch of batches) run(learned, batch);
  return learned;
}

/** Figures are sums of many, so their last digits differ. */
function expectLine(line: Affine, { base, perItem }: Affine): void {
  expect(line.base).toBeCloseTo(base, 9);
  expect(line.perItem).toBeCloseTo(perItem, 9);
}

describe('what was learned of a model', () => {
  it("before a model's first run its costs are a guess, of one item", () => {
    expect(new Learned().costs(LIMITS)).toMatchObject({ maxBatch: 1, memory: { base: 0, perItem: 1000 } });
  });

  it('a batch may be twice the largest that has run', () => {
    expect(learnedOf(1).costs(LIMITS).maxBatch).toBe(2);
    expect(learnedOf(1, 2, 5).costs(LIMITS).maxBatch).toBe(10);
    expect(learnedOf(1, 2, 80).costs(LIMITS).maxBatch).toBe(100);
  });

  it("most of a single run's time counts as fixed, so that a second batch is tried", () => {
    const { gpu, memory } = learnedOf(2).costs(LIMITS);
    expect(gpu).toEqual({ base: 9, perItem: 1.5 });
    // Of memory it holds nothing to be fixed: a larger batch fits for certain.
    expect(memory).toEqual({ base: 0, perItem: 10 });
  });

  it('after a second batch the costs are the lines of the runs', () => {
    const { gpu, wait, memory } = learnedOf(1, 4).costs(LIMITS);
    expectLine(gpu, { base: 8, perItem: 2 });
    expectLine(wait, { base: 19, perItem: 0 });
    expect(memory).toEqual({ base: 10, perItem: 5 });
  });

  it('the times of first runs, which compile, are forgotten once there are others', () => {
    const learned = new Learned();
    learned.ran(1, report(1).peak);
    learned.took(1, { ...report(1), ms: 5000 }, { ms: 4000, busyMs: 4000 }, true);
    expect(learned.expected(1).ms).toBe(5000);
    run(learned, 1);
    expect(learned.expected(1).ms).toBe(29);
  });

  it("without a host's report, all but the inputs of a run counts as GPU time", () => {
    const learned = new Learned();
    for (const batch of [1, 4]) learned.took(batch, report(batch), undefined, false);
    const { gpu, wait } = learned.costs(LIMITS);
    expectLine(gpu, { base: 20, perItem: 2 });
    expectLine(wait, { base: 10, perItem: 0 });
  });

  it('the costs of a larger shape are expected in proportion', () => {
    const { gpu, memory } = learnedOf(1, 4).scaled(3).costs(LIMITS);
    expectLine(gpu, { base: 24, perItem: 6 });
    expect(memory).toEqual({ base: 30, perItem: 15 });
  });
});

describe('the line of times', () => {
  const timesOf = (...runs: [batch: number, ms: number][]): Times => {
    const times = new Times();
    for (const [batch, ms] of runs) times.observe(batch, ms);
    return times;
  };

  it('a GPU that has become slower is known after runs of other batches than before', () => {
    const times = timesOf([1, 12], [2, 14], [4, 18], [8, 26]);
    expectLine(times.line, { base: 10, perItem: 2 });
    for (let run = 0; run < 16; run += 1)
      for (const batch of [3, 6, 12]) times.observe(batch, 20 + 4 * batch);
    expect(times.line.base + 10 * times.line.perItem).toBeGreaterThan(0.95 * 60);
  });

  it('the part that is the same for any batch comes from the small batches', () => {
    // The long run is late by a tenth. In milliseconds that is twice the fixed part.
    const { base, perItem } = timesOf([1, 12], [2, 14], [4, 18], [100, 231]).line;
    expect(base).toBeGreaterThan(9);
    expect(perItem).toBeLessThan(2.3);
  });

  it('no part is below 0, whatever the times', () => {
    const flat = timesOf([1, 30], [4, 10]).line;
    expect(flat.perItem).toBe(0);
    expect(flat.base).toBeGreaterThan(10);
    expect(flat.base).toBeLessThan(13);
    expect(timesOf([1, 1], [4, 10]).line.base).toBe(0);
    expectLine(timesOf([4, 0], [8, 0]).line, { base: 0, perItem: 0 });
  });

  it('the batches that count most are named first, and very old ones no more', () => {
    const times = timesOf([1, 12], [2, 14]);
    for (let run = 0; run < 400; run += 1) times.observe(run % 2 === 0 ? 8 : 16, 30);
    expect(times.means.map(({ batch }) => batch).sort((a, b) => a - b)).toEqual([8, 16]);
    for (let run = 0; run < 3; run += 1) times.observe(8, 30);
    expect(times.means[0]?.batch).toBe(8);
  });
});

describe('what is kept on disk', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'farlight-learned-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('stored figures are found again by model and adapter, with the same costs', () => {
    const learned = learnedOf(1, 2, 4, 8);
    learned.kept(12);
    new LearnedStore('one', folder).write('hash', new Map([['x:3x4', learned]]));
    const read = new LearnedStore('one', folder).read('hash');
    expect([...read.keys()]).toEqual(['x:3x4']);
    const { gpu, wait, ...others } = learned.costs(LIMITS);
    const found = read.get('x:3x4')?.costs(LIMITS);
    expect(found).toMatchObject(others);
    expectLine(found?.gpu as Affine, gpu);
    expectLine(found?.wait as Affine, wait);
    expect(new LearnedStore('other', folder).read('hash').size).toBe(0);
    expect(new LearnedStore('one', folder).read('other').size).toBe(0);
  });

  it('a spoilt file of figures counts as none', () => {
    const store = new LearnedStore('one', folder);
    store.write('hash', new Map([['', learnedOf(1, 2)]]));
    const [name] = readdirSync(folder) as [string];
    const spoilt = [
      '',
      '{',
      'null',
      '{"format":1}',
      '{"format":2,"shapes":{}}',
      '{"format":1,"shapes":{"":{"peaks":[{"batch":0,"bytes":1}],"gpu":[],"wait":[],"output":0}}}',
      '{"format":1,"shapes":{"":{"peaks":[],"gpu":[{"batch":1,"ms":-1}],"wait":[],"output":0}}}',
      `"${'x'.repeat(2 << 20)}"`,
    ];
    for (const text of spoilt) {
      writeFileSync(join(folder, name), text);
      expect(store.read('hash').size).toBe(0);
    }
  });

  it('at most 256 files are stored, and 32 shapes of a model', () => {
    const store = new LearnedStore('one', folder);
    for (let model = 0; model < 270; model += 1) store.write(`${model}`, new Map([['', learnedOf(1)]]));
    expect(readdirSync(folder).length).toBe(256);
    const shapes = new Map(Array.from({ length: 50 }, (_, shape) => [`x:${shape}`, learnedOf(1)]));
    store.write('many', shapes);
    expect([...store.read('many').keys()]).toEqual([...shapes.keys()].slice(-32));
  });

  it('figures that cannot be stored are no error', () => {
    writeFileSync(join(folder, 'file'), '');
    const store = new LearnedStore('one', join(folder, 'file', 'below'));
    store.write('hash', new Map([['', learnedOf(1)]]));
    expect(store.read('hash').size).toBe(0);
  });
});
