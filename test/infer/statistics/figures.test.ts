import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Facts, FIGURES, TRITON_FIGURES } from '#farlight/infer/statistics/figures.js';
import { ModelTotals } from '#farlight/infer/statistics/model-totals.js';
import { noTimes } from '#farlight/infer/statistics/parts.js';
import type { Figure } from '#farlight/page/figures.js';
import { REPOSITORY } from '../../support/repository.js';

const NONE = { count: 0, ns: 0 };
const run = (count: number) => ({ computeInput: NONE, computeInfer: { count, ns: 0 }, computeOutput: NONE });
const det = { model: 'det', version: '1' };

function facts(): Facts {
  const totals = new ModelTotals();
  totals.add(40, { ...noTimes(), queue: 10, gpu: 30 });
  totals.add(4000, { ...noTimes(), gpu: 4000 });
  const memory = {
    limit: 100,
    available: 90,
    used: 1,
    reserved: 2,
    others: 3,
    weights: 4,
    runs: 5,
    values: 6,
    queue: 7,
  };
  const lane = { name: 'a', host: 'gpu', resource: 'gpu' as const, for: 0, loaded: [] };
  return {
    statistics: [
      {
        name: 'det',
        version: '1',
        lastInference: 0,
        inferenceCount: 19,
        executionCount: 4,
        success: { count: 2, ns: 4.04e9 },
        fail: NONE,
        queue: NONE,
        ...run(4),
        batches: [
          { batchSize: 1, ...run(2) },
          { batchSize: 5, ...run(1) },
          { batchSize: 2000, ...run(1) },
        ],
      },
    ],
    state: {
      requests: 3,
      backlog: 1500,
      queues: [
        { ...det, waiting: 8, running: 2, oldest: 250 },
        { model: 'g', version: '1', function: 'f', waiting: 1, running: 0, oldest: 0 },
      ],
      hosts: [
        { name: 'gpu', resource: 'gpu', memory },
        { name: 'functions', resource: 'cpu' },
      ],
      lanes: [
        { ...lane, state: 'running' },
        { ...lane, state: 'closed' },
        { ...lane, host: 'functions', resource: 'cpu', state: 'idle' },
      ],
    },
    index: [{ name: 'det', version: '1', state: 'READY' }],
    ready: true,
    models: [{ ...det, totals }],
    refusals: new Map([['overloaded', 7]]),
    answers: [{ protocol: 'http', code: '200', count: 2 }],
    bodyBytes: 10,
    version: '1.2.3',
  };
}

/** The values of a figure, by their labels. */
function valuesOf(name: string): Record<string, number> {
  const figure = [...FIGURES, ...TRITON_FIGURES].find((each) => each.name === name) as Figure<Facts>;
  return Object.fromEntries(
    figure
      .values(facts())
      .map(({ labels, value, metricName = '' }) => [
        [metricName.replace(name, ''), ...Object.values(labels)].filter((each) => each !== '').join(' '),
        value,
      ]),
  );
}

describe('the figures of an inference server', () => {
  it('the figures count batches up to each size', () => {
    const sizes = valuesOf('farlight_infer_batch_size');
    expect(sizes).toMatchObject({ '_bucket det 1 1': 2, '_bucket det 1 4': 2, '_bucket det 1 8': 3 });
    expect(sizes).toMatchObject({ '_bucket det 1 1024': 3, '_bucket det 1 +Inf': 4 });
    expect(sizes).toMatchObject({ '_sum det 1': 2007, '_count det 1': 4 });
  });

  it('the figures have the time of requests, and its parts', () => {
    const times = valuesOf('farlight_infer_request_seconds');
    expect(times).toMatchObject({ '_bucket det 1 0.025': 0, '_bucket det 1 0.05': 1, '_bucket det 1 5': 2 });
    expect(times).toMatchObject({ '_sum det 1': 4.04, '_count det 1': 2 });
    const parts = valuesOf('farlight_infer_part_seconds_total');
    expect(parts).toMatchObject({ 'det 1 queue': 0.01, 'det 1 gpu': 4.03, 'det 1 function': 0 });
  });

  it('the figures have the memory of each GPU host by its use, and lanes by host and state', () => {
    expect(valuesOf('farlight_infer_gpu_memory_bytes')).toEqual({
      'gpu used': 1,
      'gpu reserved': 2,
      'gpu others': 3,
    });
    expect(valuesOf('farlight_infer_gpu_memory_planned_bytes')).toMatchObject({
      'gpu weights': 4,
      'gpu values': 6,
    });
    expect(valuesOf('farlight_infer_gpu_memory_limit_bytes')).toEqual({ gpu: 100 });
    expect(valuesOf('farlight_infer_gpu_memory_available_bytes')).toEqual({ gpu: 90 });
    expect(valuesOf('farlight_infer_lanes')).toMatchObject({
      'gpu running': 1,
      'gpu closed': 1,
      'gpu idle': 0,
      'functions idle': 1,
    });
  });

  it('the figures have queues, refusals and answers', () => {
    expect(valuesOf('farlight_infer_waiting_items')).toEqual({ 'det 1': 8, 'g 1 f': 1 });
    expect(valuesOf('farlight_infer_oldest_wait_seconds')).toMatchObject({ 'det 1': 0.25 });
    expect(valuesOf('farlight_infer_refusals_total')).toMatchObject({ overloaded: 7, quota: 0, expired: 0 });
    expect(valuesOf('farlight_infer_answers_total')).toEqual({ 'http 200': 2 });
    expect(valuesOf('farlight_infer_backlog_seconds')).toEqual({ '': 1.5 });
  });

  it("the figures have Triton's names, for models alone and for GPUs", () => {
    expect(valuesOf('nv_inference_count')).toEqual({ 'det 1': 19 });
    expect(valuesOf('nv_inference_request_duration_us')).toEqual({ 'det 1': 4_040_000 });
    expect(valuesOf('nv_inference_pending_request_count')).toEqual({ 'det 1': 8 });
    expect(valuesOf('nv_gpu_memory_used_bytes')).toEqual({ gpu: 4 });
    expect(valuesOf('nv_gpu_memory_total_bytes')).toEqual({ gpu: 100 });
  });

  it('all figures are in the table of docs/infer.md, and the table has no others', () => {
    const text = readFileSync(join(REPOSITORY, 'docs/infer.md'), 'utf8');
    const named = new Set(text.match(/\b(farlight_(infer|build)|nv)_[a-z_]+/g));
    const known = [...FIGURES, ...TRITON_FIGURES].map(({ name }) => name);
    expect([...named].sort()).toEqual([...known].sort());
  });

  it('the figures never name a tenant, and name counters as Prometheus does', () => {
    for (const { name, type, values } of FIGURES) {
      expect(name.endsWith('_total')).toBe(type === 'counter');
      for (const { labels } of values(facts())) expect(Object.keys(labels)).not.toContain('tenant');
    }
  });
});
