import { GpuTurns } from '#farlight/server/daemon/tenants/gpu-turns.js';
import { GpuTurn } from '#farlight/server/executor/limits/gpu-turn.js';

/** What a simulated program does, again and again: so many submits at once, and a pause when they are done. */
export interface Load {
  tenant: string;
  /** The GPU's work for each submit, in milliseconds. */
  jobMs: number;
  /** Submits that it makes without waiting. Default 1. */
  jobs?: number;
  /** The pause, in milliseconds. Default 0. */
  pauseMs?: number;
  /** When it begins and ends, in milliseconds. Default: for the whole time. */
  from?: number;
  until?: number;
}

/** How long a message takes between daemon and executor, in milliseconds. */
const MESSAGE_MS = 0.3;

/**
 * Programs that share a simulated GPU, which does one job after the other in the order in which they come, under
 * the turns of the real daemon and executors. Time is simulated.
 *
 * @returns for each load: how many rounds it made, and what the GPU worked for it, in milliseconds.
 */
export async function shareGpu(
  loads: readonly Load[],
  totalMs: number,
  { weights = {}, turns: shared = true }: { weights?: Record<string, number>; turns?: boolean } = {},
): Promise<{ rounds: number; gpuMs: number; slowestMs: number }[]> {
  let now = 0;
  let order = 0;
  const events: { at: number; order: number; act: () => void }[] = [];
  const at = (time: number, act: () => void) => void events.push({ at: time, order: order++, act });
  let gpuFreeAt = 0;
  const results = loads.map(() => ({ rounds: 0, gpuMs: 0, slowestMs: 0 }));

  const executors: GpuTurn[] = [];
  const turns = new GpuTurns<number>({
    weightOf: (tenant) => weights[tenant] ?? 1,
    turn: (id, ms) => at(now + MESSAGE_MS, () => executors[id]?.granted(ms)),
    yield: (id) => at(now + MESSAGE_MS, () => executors[id]?.yield()),
  });
  let timer = -1;
  const watch = () => {
    const next = turns.lookAt;
    if (next === undefined) return;
    const mine = order;
    timer = mine;
    at(Math.max(next, now + 1), () => {
      if (timer !== mine) return;
      turns.look(now);
      watch();
    });
  };

  for (const [id, { tenant, jobMs, jobs = 1, pauseMs = 0, from = 0, until = totalMs }] of loads.entries()) {
    const result = results[id] as (typeof results)[number];
    const executor = new GpuTurn({
      now: () => now,
      soon: (act) => at(now, act),
      tell: (report) =>
        at(now + MESSAGE_MS, () => {
          if (report.type === 'wantTurn') turns.want(id, tenant, now);
          else turns.ended(id, report.ms, now);
          watch();
        }),
    });
    executors.push(executor);
    let doneAt = 0;
    const queue = {
      onSubmittedWorkDone: () => new Promise<void>((resolve) => at(Math.max(doneAt, now), resolve)),
    };
    const submit = () => {
      gpuFreeAt = Math.max(gpuFreeAt, now) + jobMs;
      doneAt = gpuFreeAt;
      result.gpuMs += Math.max(0, Math.min(jobMs, totalMs - (doneAt - jobMs)));
    };
    const round = async () => {
      const began = now;
      for (let job = 0; job < jobs; job += 1) {
        if (shared && !executor.mine) await executor.wait();
        submit();
        if (shared) await executor.submitted(queue);
      }
      await queue.onSubmittedWorkDone();
      result.rounds += 1;
      result.slowestMs = Math.max(result.slowestMs, now - began);
      if (now < until) at(now + pauseMs, round);
      else executor.yield();
    };
    at(from, round);
  }

  for (;;) {
    events.sort((a, b) => a.at - b.at || a.order - b.order);
    const next = events.shift();
    if (!next || next.at > totalMs) return results;
    now = next.at;
    next.act();
    // What promises do takes no time.
    for (let micro = 0; micro < 12; micro += 1) await null;
  }
}
