import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FIGURES, Metrics } from '#farlight/stream/statistics/figures.js';
import { Lags } from '#farlight/stream/statistics/lags.js';
import { REPOSITORY } from '../support/repository.js';
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
    expect(new Lags().view()).toEqual({ outputs: 0, median: 0, p99: 0 });
  });

  it('have the longest time as the 99th of 100 where there are few', () => {
    const lags = new Lags();
    for (const ms of [10, 30, 20]) lags.add(ms);
    expect(lags.view()).toEqual({ outputs: 3, median: 20, p99: 30 });
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
      'farlight_stream_posted_records_total{source="sound",outcome="repeated"} 1',
      'farlight_stream_step_seconds_total{step="detect"} 2.5',
      'farlight_stream_batch_size_bucket{step="detect",le="4"} 1',
      'farlight_stream_batch_size_count{step="detect"} 1',
      'farlight_stream_sink_outputs_total{sink="out"} 2',
      'farlight_stream_lag_seconds_bucket{sink="out",le="0.05"} 2',
    ])
      expect(text).toContain(line);
    expect(text).not.toContain('alice');
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
