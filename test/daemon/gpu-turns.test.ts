import { describe, expect, it } from 'vitest';
import { GpuTurns } from '#farlight/server/daemon/tenants/gpu-turns.js';
import { shareGpu } from '../support/gpus/shared-gpu.js';

const SECONDS = 1000;

describe('tenants that compete for a GPU', () => {
  it('get equal shares of its time, whatever the length of their work', async () => {
    for (const [a, b] of [
      [3, 3],
      [3, 15],
      [1, 70],
      [200, 10],
    ] as const) {
      const [first, second] = await shareGpu(
        [
          { tenant: 'a', jobMs: a, jobs: 4 },
          { tenant: 'b', jobMs: b, jobs: 4 },
        ],
        20 * SECONDS,
      );
      const share = (first?.gpuMs ?? 0) / ((first?.gpuMs ?? 0) + (second?.gpuMs ?? 0));
      expect(share, `${a} and ${b} ms`).toBeGreaterThan(0.45);
      expect(share, `${a} and ${b} ms`).toBeLessThan(0.55);
    }
  });

  it('keep the GPU almost as busy as a tenant alone', async () => {
    const results = await shareGpu(
      [
        { tenant: 'a', jobMs: 5, jobs: 8 },
        { tenant: 'b', jobMs: 5, jobs: 8 },
      ],
      10 * SECONDS,
    );
    const busy = results.reduce((sum, { gpuMs }) => sum + gpuMs, 0);
    expect(busy).toBeGreaterThan(0.9 * 10 * SECONDS);
  });

  it('hardly slow down a tenant that wants less than its share', async () => {
    const small = { tenant: 'small', jobMs: 4, pauseMs: 30 };
    const [alone] = await shareGpu([small], 20 * SECONDS);
    const greedy = { tenant: 'greedy', jobMs: 10, jobs: 20 };
    const [unfair] = await shareGpu([small, greedy], 20 * SECONDS, { turns: false });
    const [fair] = await shareGpu([small, greedy], 20 * SECONDS);
    expect((unfair?.rounds ?? 0) / (alone?.rounds ?? 1)).toBeLessThan(0.4);
    expect((fair?.rounds ?? 0) / (alone?.rounds ?? 1)).toBeGreaterThan(0.7);
  });

  it('get shares by their weights', async () => {
    const [heavy, light] = await shareGpu(
      [
        { tenant: 'heavy', jobMs: 5, jobs: 4 },
        { tenant: 'light', jobMs: 5, jobs: 4 },
      ],
      20 * SECONDS,
      { weights: { heavy: 3 } },
    );
    expect((heavy?.gpuMs ?? 0) / (light?.gpuMs ?? 1)).toBeGreaterThan(2.6);
    expect((heavy?.gpuMs ?? 0) / (light?.gpuMs ?? 1)).toBeLessThan(3.4);
  });

  it('get one share each, however many sessions one of them opens', async () => {
    const many = [0, 1, 2, 3].map(() => ({ tenant: 'many', jobMs: 5, jobs: 4 }));
    const results = await shareGpu([{ tenant: 'one', jobMs: 5, jobs: 4 }, ...many], 20 * SECONDS);
    const all = results.reduce((sum, { gpuMs }) => sum + gpuMs, 0);
    expect((results[0]?.gpuMs ?? 0) / all).toBeGreaterThan(0.45);
    // The sessions of one tenant get equal parts of its share.
    const theirs = results.slice(1).map(({ gpuMs }) => gpuMs);
    expect(Math.min(...theirs)).toBeGreaterThan(Math.max(...theirs) * 0.9);
  });

  it('get one share each even where every submit is longer than a lapsing turn', async () => {
    const many = [0, 1, 2].map(() => ({ tenant: 'many', jobMs: 150, jobs: 4 }));
    const results = await shareGpu([{ tenant: 'one', jobMs: 150, jobs: 4 }, ...many], 60 * SECONDS);
    const all = results.reduce((sum, { gpuMs }) => sum + gpuMs, 0);
    expect((results[0]?.gpuMs ?? 0) / all).toBeGreaterThan(0.42);
    expect((results[0]?.gpuMs ?? 0) / all).toBeLessThan(0.58);
    expect(all).toBeGreaterThan(0.8 * 60 * SECONDS);
  });

  it('continue beside endless work, and wait for it only once', async () => {
    const turned: number[] = [];
    const turns = new GpuTurns<number>({
      weightOf: () => 1,
      turn: (id) => void turned.push(id),
      yield: () => {},
    });
    turns.want(1, 'endless', 0);
    turns.want(2, 'other', 5);
    expect(turned).toEqual([1]);
    expect(turns.lookAt).toBe(105);
    turns.look(105);
    expect(turned).toEqual([1, 2]);
    for (let now = 110; now < 400; now += 10) {
      turns.ended(2, 5, now);
      turns.want(2, 'other', now);
    }
    expect(turned.length).toBe(31);
  });

  it('do not save up time while they are idle', async () => {
    const [steady, late] = await shareGpu(
      [
        { tenant: 'steady', jobMs: 5, jobs: 4 },
        { tenant: 'late', jobMs: 5, jobs: 4, from: 10 * SECONDS },
      ],
      20 * SECONDS,
    );
    expect((late?.gpuMs ?? 0) / 10 / SECONDS).toBeLessThan(0.55);
    expect((steady?.gpuMs ?? 0) / 10 / SECONDS).toBeGreaterThan(1.4);
  });
});

describe('a tenant alone on a GPU', () => {
  it('uses the GPU freely after asking once, with all its sessions at once', async () => {
    const asked: [number, number][] = [];
    const turns = new GpuTurns<number>({
      weightOf: () => 1,
      turn: (id, ms) => void asked.push([id, ms]),
      yield: () => {},
    });
    turns.want(1, 'a', 0);
    turns.want(2, 'a', 1);
    expect(asked).toEqual([
      [1, 0],
      [2, 0],
    ]);
    expect(turns.lookAt).toBeUndefined();
  });

  it('loses no time except for asking once', async () => {
    const load = { tenant: 'a', jobMs: 2, jobs: 3, pauseMs: 1 };
    const [without] = await shareGpu([load], 10 * SECONDS, { turns: false });
    const [alone] = await shareGpu([load], 10 * SECONDS);
    expect((alone?.rounds ?? 0) / (without?.rounds ?? 1)).toBeGreaterThan(0.999);
  });

  it('uses the GPU freely again a second after another tenant has left', async () => {
    const load = { tenant: 'a', jobMs: 2, jobs: 3, pauseMs: 1 };
    const other = { tenant: 'b', jobMs: 5, until: 2 * SECONDS };
    const [after] = await shareGpu([load, other], 12 * SECONDS);
    const [without] = await shareGpu([load], 12 * SECONDS, { turns: false });
    // Two seconds of sharing cost at most half of them, and a second of turns.
    expect((without?.rounds ?? 0) - (after?.rounds ?? 0)).toBeLessThan((without?.rounds ?? 0) * (2.5 / 12));
  });

  it('yields when another tenant comes, even if a session is late to yield', async () => {
    const log: string[] = [];
    const turns = new GpuTurns<string>({
      weightOf: () => 1,
      turn: (id, ms) => void log.push(`${id} ${ms}`),
      yield: (id) => void log.push(`${id} yields`),
    });
    turns.want('a', 'a', 0);
    turns.want('b', 'b', 5000);
    expect(log).toEqual(['a 0', 'a yields']);
    turns.look(5100);
    expect(log.at(-1)).toBe('b 0');
    turns.gone('a', 5200);
    turns.ended('b', 3, 5300);
    expect(log).toHaveLength(3);
  });
});
