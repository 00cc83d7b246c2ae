import type { EngineScheduler } from '../schedule/scheduler.js';
import type { HostState, LaneState } from '../service/state.js';
import type { Active } from './active.js';
import type { EngineHost, Hosts } from './hosts.js';
import type { Unit } from './request/unit.js';
import type { Runs } from './runs.js';
import type { UnitModels } from './unit-models.js';

/** The items that wait for a unit, and the items of its runs, as QueueState says. */
export interface Queue {
  readonly waiting: number;
  running: number;
  oldest: number;
}

interface Parts {
  readonly scheduler: EngineScheduler;
  readonly hosts: Hosts;
  readonly runs: Runs;
  readonly units: ReadonlyMap<Unit, UnitModels>;
  readonly requests: Iterable<Active>;
  readonly now: number;
}

/** The hosts, lanes and queues of a dispatcher as they are now. */
export function dispatcherState(parts: Parts) {
  const { hosts, scheduler } = parts;
  return {
    hosts: hosts.all.map((host) => hostState(host, scheduler)),
    lanes: laneStates(parts),
    queues: queuesOf(parts),
  };
}

function hostState({ name, resource, memory }: EngineHost, scheduler: EngineScheduler): HostState {
  if (resource !== 'gpu') return { name, resource };
  const { capacity, told } = memory;
  const planned = scheduler.memoryOf(name);
  return {
    name,
    resource,
    memory: {
      limit: capacity.limit,
      available: capacity.bytes,
      used: told?.used ?? 0,
      reserved: told?.reserved ?? 0,
      others: told?.others ?? 0,
      queue: told?.queue ?? 0,
      weights: planned?.weights ?? 0,
      runs: planned?.running ?? 0,
      values: planned?.held ?? 0,
    },
  };
}

function laneStates({ scheduler, hosts, runs, units, now }: Parts): LaneState[] {
  const titles = new Map([...units.keys()].map(({ key, title }) => [key, title]));
  return hosts.places().map(({ name, host, isOpen, reason }) => {
    const place = { name, host: host.name, resource: host.resource };
    if (!isOpen) return { ...place, state: 'closed', for: 0, loaded: [], ...(reason && { reason }) };
    const loaded = scheduler.loadedOn(name).map((key) => titles.get(key) ?? key);
    const run = runs.on(name);
    if (!run) return { ...place, state: 'idle', for: 0, loaded };
    const { unit, batch, since, isLoading } = run;
    const state = isLoading ? 'loading' : 'running';
    return { ...place, state, what: unit.title, items: batch, for: now - since, loaded };
  });
}

function queuesOf({ units, runs, requests, now }: Parts): Map<Unit, Queue> {
  const queues = new Map<Unit, Queue>();
  for (const [unit, { waiting }] of units) queues.set(unit, { waiting, running: 0, oldest: 0 });
  for (const { unit, batch } of runs.all()) {
    const queue = queues.get(unit);
    if (queue) queue.running += batch;
  }
  for (const { tasks } of requests) {
    for (const { task, readyAt, isStarted } of tasks.values()) {
      const queue = isStarted ? undefined : queues.get(task.unit);
      if (queue) queue.oldest = Math.max(queue.oldest, now - readyAt);
    }
  }
  return queues;
}
