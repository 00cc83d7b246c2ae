import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Definition } from '#farlight/stream/definition/definition.js';
import { ClusterObserver } from '#farlight/stream/statistics/cluster-observer.js';
import { FIGURES, Metrics } from '#farlight/stream/statistics/figures.js';
import { graphOf } from '#farlight/stream/statistics/graph.js';
import { Lags, Samples } from '#farlight/stream/statistics/lags.js';
import { Reports } from '#farlight/stream/workers/coordinator/reports.js';
import { REPOSITORY } from '../support/repository.js';
import { stepOf } from './support/arithmetic.js';
import { tensorOf } from './support/numbers.js';
import { ObservedApplication } from './support/observed.js';

function stepIn(application: ObservedApplication, uid: string) {
  const found = application.observatory.view().all?.nodes.find((node) => node.id === `step ${uid}`);
  if (found?.kind !== 'step') throw new Error(`there is no step ${uid}`);
  return found;
}

describe('the observatory of an application', () => {
  it('has rates, the time from the log to a sink, and batches, each run once', () => {
    const application = new ObservedApplication();
    // Four records of one run, and one by itself.
    for (const key of ['a', 'b', 'c', 'd']) application.pass(key, { run: 1 });
    application.pass('e', { run: 2, ms: 90 });
    application.now += 1000;
    const { all } = application.observatory.view();
    expect(all?.lag).toEqual({ outputs: 10, median: 50, p99: 100 });
    expect(all?.rates).toEqual({ records: 1, outputs: 2, failed: 0 });
    const detect = stepIn(application, 'detect');
    expect(detect).toMatchObject({ rate: 1, ms: 50, items: 2.5, largest: 4, running: 0, hasState: true });
    const [second] = application.observatory.seconds(0);
    expect(second).toMatchObject({ passed: 5, outputs: 10, runs: 2, items: 5, lag: 100 });
    application.now += 10_000;
    expect(stepIn(application, 'detect')).toMatchObject({ rate: 0, ms: 0, items: 0 });
  });

  it('counts records at which a step fails, and gives them no output', () => {
    const application = new ObservedApplication();
    application.pass('a', { error: 'no such number' });
    application.now += 1000;
    const { all } = application.observatory.view();
    expect(all?.rates).toMatchObject({ records: 0.2, outputs: 0, failed: 0.2 });
    expect(application.trees[0]?.parts[0]).toMatchObject({ name: 'step detect', error: 'no such number' });
  });

  it('shows which steps an upgrade changes, and which it adds', () => {
    const application = new ObservedApplication();
    expect(stepIn(application, 'detect')).not.toHaveProperty('change');
    application.upgrade();
    const { all } = application.observatory.view();
    expect(all?.upgrade).toEqual({ to: 'v2', phase: 'passing' });
    expect(all?.nodes.map(({ id, change, from }) => [id, change, from])).toEqual([
      ['source sound', 'kept', []],
      ['step detect', 'changed', ['source sound']],
      ['step smooth', 'added', ['step detect']],
      ['sink out', 'changed', ['step smooth']],
      ['sink shown', 'kept', ['step detect']],
    ]);
    expect(stepIn(application, 'detect').state).toBe('kept');
    // A node is shown after those whose values it takes, also where one is put in between.
    const [detect, smooth] = ['detect', 'smooth'].map((uid) =>
      stepOf(uid, 'sound', [uid === 'detect' ? 'smooth.o' : 'sound.x'], {
        factor: 1,
        failsAt: 0,
        hasState: false,
      }),
    );
    const next = { ...application.definition, steps: [smooth, detect] as Definition['steps'] };
    expect(graphOf(application.definition, next).map(({ id }) => id)).toEqual([
      'source sound',
      'step smooth',
      'step detect',
      'sink out',
      'sink shown',
    ]);
    application.ended('the disk is full');
    application.upgrade();
    application.ended();
    expect(application.observatory.view().all?.upgrades).toMatchObject([
      { from: 'v1', to: 'v2', epoch: 4, changes: ['~ detect', '+ smooth', '~ out'] },
      { why: 'the disk is full' },
    ]);
  });

  it('has a trace of each record, with its steps, their runs and its sinks', () => {
    const application = new ObservedApplication();
    application.pass('mic-1');
    const [tree] = application.trees;
    expect(tree).toMatchObject({
      kind: 'consumer',
      name: 'record of sound',
      from: 1_000_000,
      to: 1_000_050,
      attributes: {
        'farlight.application': 'voices',
        'farlight.source': 'sound',
        'farlight.offset': 0,
        'farlight.key': 'mic-1',
      },
    });
    expect(tree?.parts.map(({ name, from, to }) => [name, from, to])).toEqual([
      ['step detect', 1_000_005, 1_000_045],
      ['sink out', 1_000_045, 1_000_050],
      ['sink shown', 1_000_045, 1_000_050],
    ]);
    expect(tree?.parts[0]?.attributes).toEqual({ 'farlight.application.version': 'v1' });
    expect(tree?.parts[0]?.parts).toMatchObject([
      { name: 'run model silero version 1', attributes: { 'farlight.batch.size': 4 } },
    ]);
  });

  it('shows the last outputs of a sink to the page, the newest first', () => {
    const application = new ObservedApplication();
    expect(application.observatory.view().all?.outputs).toEqual([]);
    for (const key of ['a', 'b', 'c']) application.pass(key);
    expect(application.observatory.view().all?.outputs).toMatchObject([
      { sink: 'shown', id: 'sound/2/0', key: 'c', text: '{"y":2}' },
      { sink: 'shown', id: 'sound/1/0', key: 'b', text: '{"y":1}' },
    ]);
  });

  it('shows a tenant the records that it has posted, and nothing else', () => {
    const { observatory } = new ObservedApplication();
    observatory.posted.add({ tenant: 'alice', source: 'sound' }, { records: 3, repeated: 1 });
    observatory.posted.add({ tenant: 'bob', source: 'sound' }, { refused: 1 });
    const own = observatory.view('alice');
    expect(own.posted).toEqual([
      { tenant: 'alice', source: 'sound', records: 3, repeated: 1, refused: 0, rate: 0 },
    ]);
    expect(own).not.toHaveProperty('all');
    expect(observatory.view().posted).toHaveLength(2);
  });
});

describe('an application whose work is shared', () => {
  const status = { partition: 0, epoch: 2, passing: 1, next: {} };
  const step = { uid: 'detect', failed: 0, running: 1 };

  it('has rates of workers, partitions and steps from their reports, and lags from both ends', () => {
    const application = new ObservedApplication();
    const observer = new ClusterObserver(application.tally, () => application.now);
    const reports = new Reports();
    const report = (id: string, term: number, records: number, runs: [number, number][]) =>
      observer.progressed(
        reports.take({
          id,
          beat: 1,
          machine: { name: 'machine', cores: 1 },
          isReady: true,
          holds: [0],
          partitions: [{ ...status, term, passed: records, steps: [{ ...step, records, ms: 10 * records }] }],
          runs: new Map([['detect', new Map(runs)]]),
        }),
      );
    // What was done before the first report is old, and no rate.
    report('a', 1, 100, [[4, 25]]);
    report('a', 1, 110, [
      [4, 25],
      [5, 2],
    ]);
    // Another worker takes the partition. What the first one says late counts for nothing.
    report('b', 2, 0, []);
    report('a', 1, 200, [[5, 2]]);
    report('b', 2, 15, [[3, 5]]);
    observer.logged('sound', 0, 7);
    application.now += 250;
    const output = {
      sink: 'out',
      source: 'sound',
      offset: 7,
      index: 0,
      key: 'k',
      values: { y: tensorOf(3) },
    };
    const target = { kind: 'page' } as const;
    observer.delivered(0, { sink: 'shown', target, outputs: [output] }, application.definition);
    application.workers = {
      workers: [{ id: 'b', partitions: [0], passing: 1, silent: 40 }],
      partitions: [{ partition: 0, worker: 'b', epoch: 2, passing: 1, waiting: 6 }],
    };
    application.now += 1000;
    const { all } = application.observatory.view();
    expect(all?.workers).toEqual({
      workers: [{ id: 'b', partitions: [0], passing: 1, silent: 40, rate: 3 }],
      partitions: [{ partition: 0, worker: 'b', epoch: 2, passing: 1, waiting: 6, rate: 5, lag: 250 }],
    });
    expect(stepIn(application, 'detect')).toMatchObject({ rate: 5, ms: 10, items: 25 / 7, largest: 5 });
    expect(reports.steps.get('detect')).toEqual({ records: 125, failed: 0, ms: 1250 });
    expect(all?.outputs).toMatchObject([{ sink: 'shown', id: 'sound/7/0', text: '{"y":3}' }]);
    expect(all?.lag).toEqual({ outputs: 1, median: 250, p99: 250 });
  });
});

describe('the times of records in a log', () => {
  it('are few where millions wait, and then those of a record shortly before', () => {
    const lags = new Lags();
    for (let offset = 0; offset < 100_000; offset += 1) lags.logged('s', offset, offset);
    for (let offset = 0; offset < 100_000; offset += 100) {
      const at = lags.begun('s', offset) ?? Number.NaN;
      expect(offset - at).toBeGreaterThanOrEqual(0);
      expect(offset - at).toBeLessThan(100);
    }
    expect(lags.begun('other', 0)).toBeUndefined();
    expect(new Samples().view()).toEqual({ outputs: 0, median: 0, p99: 0 });
  });

  it('are known of a record whose output comes after those of later records', () => {
    const lags = new Lags(2);
    for (let offset = 0; offset < 10; offset += 1) lags.logged('s', offset, 100 + offset);
    expect([5, 3, 4, 6].map((offset) => lags.begun('s', offset))).toEqual([105, 103, 104, 106]);
    // It is too late.
    expect(lags.begun('s', 1)).toBeUndefined();
  });

  it('have the longest time as the 99th of 100 where there are few', () => {
    const samples = new Samples();
    for (const ms of [10, 30, 20]) samples.add(ms);
    expect(samples.view()).toEqual({ outputs: 3, median: 20, p99: 30 });
  });
});

describe('the figures of an application for Prometheus', () => {
  it('have the values of the view, by source, step and sink', async () => {
    const application = new ObservedApplication();
    for (const key of ['a', 'b']) application.pass(key, { run: 1 });
    application.observatory.posted.add({ tenant: 'alice', source: 'sound' }, { records: 2, repeated: 1 });
    application.upgrade();
    application.ended('the disk is full');
    application.upgrade();
    const { text } = await new Metrics(application.observatory).read();
    for (const line of [
      'farlight_stream_epoch 3',
      'farlight_stream_upgrading 1',
      'farlight_stream_upgrades_total{outcome="abandoned"} 1',
      'farlight_stream_source_records_total{source="sound"} 2',
      'farlight_stream_source_waiting_records{source="sound"} 7',
      'farlight_stream_source_failing{source="sound"} 1',
      'farlight_stream_source_aside_total{source="sound"} 2',
      'farlight_stream_posted_records_total{source="sound",outcome="repeated"} 1',
      'farlight_stream_step_seconds_total{step="detect"} 2.5',
      'farlight_stream_batch_size_bucket{step="detect",le="4"} 1',
      'farlight_stream_batch_size_count{step="detect"} 1',
      'farlight_stream_sink_outputs_total{sink="out"} 2',
      'farlight_stream_lag_seconds_bucket{sink="out",le="0.05"} 2',
    ])
      expect(text).toContain(line);
    expect(text).not.toContain('alice');
    expect(text).not.toMatch(/^farlight_stream_(workers|partition_)/m);
    application.workers = {
      workers: [{ id: 'b', partitions: [3], passing: 1, silent: 40 }],
      partitions: [{ partition: 3, worker: 'b', epoch: 2, passing: 1, waiting: 6 }],
    };
    application.tally.partitionLags.set(3, 250);
    const { text: shared } = await new Metrics(application.observatory).read();
    for (const line of [
      'farlight_stream_workers 1',
      'farlight_stream_partition_waiting_records{partition="3"} 6',
      'farlight_stream_partition_passing_records{partition="3"} 1',
      'farlight_stream_partition_lag_seconds{partition="3"} 0.25',
    ])
      expect(shared).toContain(line);
  });

  it('are all in the table of docs/streams.md, and the table has no others', () => {
    const docs = readFileSync(join(REPOSITORY, 'docs/streams.md'), 'utf8');
    const named = new Set(docs.match(/\bfarlight_stream_[a-z_]+[a-z]/g));
    expect([...named].sort()).toEqual(FIGURES.map(({ name }) => name).sort());
  });

  it('name counters as Prometheus does', () => {
    for (const { name, type } of FIGURES) expect(name.endsWith('_total')).toBe(type === 'counter');
  });
});
