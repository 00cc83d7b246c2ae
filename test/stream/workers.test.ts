import { deserialize } from 'node:v8';
import { describe, expect, it } from 'vitest';
import { deferred } from '#farlight/link/machine/deferred.js';
import { messageOf } from '#farlight/proto/errors.js';
import type { Definition } from '#farlight/stream/definition/definition.js';
import type { PartitionNow } from '#farlight/stream/run/status.js';
import { RecordObserver } from '#farlight/stream/statistics/record-observer.js';
import { Tally } from '#farlight/stream/statistics/tally.js';
import type { Coordinator } from '#farlight/stream/workers/coordinator/coordinator.js';
import { Roster, turnsOf } from '#farlight/stream/workers/coordinator/roster.js';
import { APPLICATION, type ApplicationRecord } from '#farlight/stream/workers/records.js';
import type { Worker } from '#farlight/stream/workers/worker.js';
import type { RunnerFaults } from './support/arithmetic-runner.js';
import { definitionOf, edited, randomDefinition } from './support/definitions.js';
import { COUNT, COUNTED, Machines } from './support/machines.js';
import { type Process, World } from './support/world.js';

const CASES = Number(process.env.FARLIGHT_WORKERS ?? 25);
const SEED = Number(process.env.FARLIGHT_SEED ?? 20261130);
const KEYS = ['a', 'b', 'c', 'd', 'e'];
const PARTITIONS = 3;

describe('workers on several machines, whose processes and broker fail at random moments', () => {
  it('write exactly the outputs of a run, record by record, that switches at the same cuts', async () => {
    const counts = { upgrades: 0, refused: 0, kills: 0, stalls: 0, outages: 0, outputs: 0 };
    for (let at = 0; at < CASES; at += 1) await play(SEED + at, counts);
    console.log(`${CASES} cases: ${JSON.stringify(counts)}`);
    expect(counts.upgrades).toBeGreaterThan(CASES / 10);
    expect(counts.kills).toBeGreaterThan(CASES / 10);
  }, 1_800_000);
});

describe('a worker', () => {
  it('knows the trace of a record, and its coordinator knows what the worker has done', async () => {
    const world = new World(SEED);
    const machines = new Machines(world, PARTITIONS);
    const traces: (string | undefined)[] = [];
    const tally = new Tally(() => world.time);
    class Observer extends RecordObserver {
      override admitted(...[record, traceparent]: Parameters<RecordObserver['admitted']>): void {
        if (record.key === 'a') traces.push(traceparent);
        super.admitted(record, traceparent);
      }
    }
    machines.startWorker(new Observer({ tally, now: () => world.time }));
    const first = randomDefinition(world.random, 0);
    let coordinator: Coordinator | undefined;
    void machines.startCoordinator(first).coordinator.then((opened) => {
      coordinator = opened;
    });
    while (!coordinator) await world.step();
    const [source = ''] = Object.keys(first.sources);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    let isSent = false;
    void machines.send(coordinator, source, { key: 'a', value: 1 }, traceparent).then(() => {
      isSent = true;
    });
    const isReported = () => {
      const { steps = [], workers } = coordinator?.status() ?? {};
      const isOwned = workers?.partitions.every(({ worker }) => worker !== '');
      return isOwned && steps.some(({ records, failed }) => records + failed > 0);
    };
    while (!isSent || traces.length === 0 || !isReported()) await world.step();
    expect(traces).toEqual([traceparent]);
  });
});

describe('a worker whose host cannot be reached', () => {
  it('gets no partitions and says why, until it can run the application', async () => {
    const world = new World(SEED);
    const machines = new Machines(world, PARTITIONS);
    const faults = { failsToPrepare: true, failsToMigrate: false };
    const { process, worker } = machines.startWorker(undefined, faults);
    machines.startWorker();
    let isReady = false;
    void worker
      .then(({ ready }) => ready)
      .then(() => {
        isReady = true;
      });
    let coordinator: Coordinator | undefined;
    void machines.startCoordinator(randomDefinition(world.random, 0)).coordinator.then((opened) => {
      coordinator = opened;
    });
    const told = () => coordinator?.status().workers;
    const mine = () => told()?.workers.find(({ id }) => id === process.name);
    const isOwned = () => told()?.partitions.every(({ worker }) => worker !== '') ?? false;
    while (!isOwned() || mine()?.problem === undefined) await world.step();
    expect(mine()).toMatchObject({ problem: 'the model cannot be compiled', partitions: [] });
    expect(isReady).toBe(false);
    faults.failsToPrepare = false;
    while (!isOwned() || mine()?.partitions.length === 0) await world.step();
    expect(mine()).not.toHaveProperty('problem');
    expect(isReady).toBe(true);
  });
});

describe('an upgrade of two workers', () => {
  /** Two workers with partitions, of which each makes the next version ready when it may. */
  const begun = async (cores: number) => {
    const world = new World(SEED);
    const machines = new Machines(world, PARTITIONS);
    machines.broker.faults = 0;
    machines.cores = cores;
    const loads = new Map<string, { resolve(): void }>();
    const slow = [0, 1].map(() => {
      const faults: { -readonly [Name in keyof RunnerFaults]: RunnerFaults[Name] } = {
        failsToPrepare: false,
        failsToMigrate: false,
      };
      return { faults, name: machines.startWorker(undefined, faults).process.name };
    });
    const { coordinator } = await openCoordinator(world, machines, definitionOf('v1', ['t'], { p: ['t.x'] }));
    const partitions = () => coordinator.status().workers?.partitions ?? [];
    const owners = () => new Set(partitions().map(({ worker }) => worker));
    while (owners().size < 2 || owners().has('')) await world.step();
    for (const { faults, name } of slow) {
      const load = deferred<void>();
      faults.slow = load.promise;
      loads.set(name, load);
    }
    const upgrade = coordinator.upgrade(definitionOf('v2', ['t'], { p: ['t.x'], q: ['t.x'] }));
    const compiling = () =>
      new Set(partitions().flatMap(({ worker, upgrade }) => (upgrade === 'compiling' ? worker : [])));
    const versions = () => machines.commits.map(({ definition }) => definition.id);
    return { world, machines, coordinator, partitions, loads, compiling, upgrade, versions };
  };

  it('holds no output back while one of them still makes the version ready', async () => {
    const { world, machines, coordinator, partitions, loads, compiling, upgrade, versions } = await begun(4);
    while (compiling().size < 2) await world.step();
    const [fast = '', late = ''] = loads.keys();
    loads.get(fast)?.resolve();
    const isBehind = ({ worker, upgrade }: PartitionNow) => (upgrade === 'compiling') === (worker === late);
    while (!partitions().every(isBehind)) await world.step();
    for (const key of KEYS) await done(world, machines.send(coordinator, 't', { key, value: 1 }));
    for (const until = world.time + 10_000; machines.written.length < KEYS.length && world.time < until; )
      await world.step();
    expect(machines.written).toHaveLength(KEYS.length);
    expect(versions()).toEqual(['v1']);
    loads.get(late)?.resolve();
    await done(world, upgrade);
    expect(versions()).toEqual(['v1', 'v2']);
  });

  it('makes it ready on one after the other where they share a core', async () => {
    const { world, loads, compiling, upgrade, versions } = await begun(1);
    const seen: string[] = [];
    while (seen.length < 2) {
      for (const until = world.time + 3000; world.time < until || compiling().size === 0; )
        await world.step();
      const [loading = '', ...others] = compiling();
      expect(others).toEqual([]);
      seen.push(loading);
      loads.get(loading)?.resolve();
      while (compiling().has(loading)) await world.step();
    }
    expect(seen.sort()).toEqual([...loads.keys()].sort());
    await done(world, upgrade);
    expect(versions()).toEqual(['v1', 'v2']);
  });
});

describe('workers', () => {
  it('load models in turns, on half of the cores of each machine', () => {
    const on = (name: string, cores: number, count: number) =>
      Array.from({ length: count }, (_, at) => ({ id: `${name}${at}`, machine: { name, cores } }));
    const workers = [...on('a', 1, 2), ...on('b', 2, 3), ...on('c', 5, 3)];
    expect(turnsOf(workers)).toEqual([['a0', 'b0', 'c0', 'c1'], ['a1', 'b1', 'c2'], ['b2']]);
    expect(turnsOf([])).toEqual([]);
  });

  it('have no empty turn where containers of one machine may use different numbers of its cores', () => {
    const workers = [2, 8, 2, 8].map((cores, at) => ({ id: `w${at}`, machine: { name: 'a', cores } }));
    expect(turnsOf(workers.slice(0, 3))).toEqual([['w0', 'w1', 'w2']]);
  });
});

describe('a broker that has lost its last messages', () => {
  const begun = async () => {
    const world = new World(SEED);
    const machines = new Machines(world, 1);
    machines.broker.faults = 0;
    machines.startWorker();
    const first = definitionOf('v1', ['t'], { p: ['t.x'] });
    const { process, coordinator } = await openCoordinator(world, machines, first);
    for (const value of [1, 2, 3]) await done(world, machines.send(coordinator, 't', { key: 'a', value }));
    return { world, machines, first, process, coordinator };
  };

  it.each(['records-t', 'outputs'])(
    'ends the next coordinator with one sentence, whatever came into %s since the last checkpoint',
    async (stream) => {
      const { world, machines, first, process } = await begun();
      while (machines.written.length < 3) await world.step();
      for (const until = world.time + 6000; world.time < until; ) await world.step();
      world.kill(process);
      machines.broker.lose(stream, 2);
      for (let start = 0; start < 3; start += 1) {
        let why = '';
        const { coordinator } = machines.startCoordinator(first);
        coordinator
          .then((opened) => opened.failed)
          .catch((error) => {
            why = messageOf(error);
          });
        while (why === '') await world.step();
        expect(why).toMatch(`the NATS server has lost messages: ${stream}`);
      }
    },
  );

  it('ends a coordinator at its next record, and each one after it', async () => {
    const { world, machines, first, coordinator } = await begun();
    machines.broker.lose('records-t', 1);
    const why: string[] = [];
    const failed = (error: unknown) => void why.push(messageOf(error));
    coordinator.failed.catch(failed);
    machines.send(coordinator, 't', { key: 'a', value: 4 }).catch(failed);
    while (why.length < 2) await world.step();
    machines.startCoordinator(first).coordinator.catch(failed);
    while (why.length < 3) await world.step();
    for (const each of why) expect(each).toMatch('records-t, partition 0, had message 4, and ends at 3');
  });
});

describe('a source of several machines that was dropped and comes back', () => {
  it('begins anew, also where the coordinator has ended since', async () => {
    const world = new World(SEED);
    const machines = new Machines(world, PARTITIONS);
    machines.broker.faults = 0;
    machines.startWorker();
    const both = definitionOf('v1', [COUNTED, 't'], { p: [`${COUNTED}.x`], q: ['t.x'] });
    const one = definitionOf('v2', ['t'], { q: ['t.x'] });
    let { process, coordinator } = await openCoordinator(world, machines, both);
    for (let count = 1; count <= 2; count += 1) {
      while (counted(machines).length < count * COUNT) await world.step();
      expect(counted(machines)).toHaveLength(count * COUNT);
      await done(world, coordinator.upgrade(one, { drop: [COUNTED, 'p'] }));
      if (count === 2) {
        world.kill(process);
        ({ process, coordinator } = await openCoordinator(world, machines, both));
      }
      await done(world, coordinator.upgrade({ ...both, id: `v${count}3` }));
    }
    while (counted(machines).length < 3 * COUNT) await world.step();
  });
});

/** Lets the world go on until something is done. */
async function done<T>(world: World, act: Promise<T>): Promise<T> {
  const results: { value: T }[] = [];
  const errors: unknown[] = [];
  act.then(
    (value) => results.push({ value }),
    (error) => errors.push(error),
  );
  while (results.length === 0 && errors.length === 0) await world.step();
  const [result] = results;
  if (!result) throw errors[0];
  return result.value;
}

async function openCoordinator(world: World, machines: Machines, first: Definition) {
  const { process, coordinator } = machines.startCoordinator(first);
  return { process, coordinator: await done(world, coordinator) };
}

describe('a coordinator that stood still', () => {
  it('opens no upgrade when it comes back after another one has begun', async () => {
    const world = new World(SEED);
    const machines = new Machines(world, PARTITIONS);
    machines.broker.faults = 0;
    machines.startWorker();
    const first = randomDefinition(world.random, 0);
    const before = await openCoordinator(world, machines, first);
    while (before.coordinator.status().workers?.partitions.some(({ worker }) => worker === ''))
      await world.step();
    before.process.isStalled = true;
    await openCoordinator(world, machines, first);
    const written: ApplicationRecord[] = [];
    machines.broker.onWrite = (key, value) => {
      if (key === APPLICATION) written.push(deserialize(value));
    };
    before.process.isStalled = false;
    let why = '';
    before.coordinator.upgrade({ ...first, id: 'v1', sinks: {} }).catch((error) => {
      why = messageOf(error);
    });
    while (why === '') await world.step();
    expect(written).toEqual([]);
    expect(why).toMatch(/another coordinator has taken over|the coordinator was closed/);
  });

  it('takes a worker for dead after 5 s in which it could have heard it, and not for its own silence', async () => {
    const world = new World(SEED);
    const process = world.process('coordinator');
    const broker = new Machines(world, PARTITIONS).broker.for(process);
    const told: string[] = [];
    const roster = new Roster({
      broker,
      clock: world.clock(process),
      term: 1,
      partitions: PARTITIONS,
      isOver: () => false,
      log: (message) => told.push(message),
    });
    const look = async (ms: number) => {
      world.time += ms;
      let isDone = false;
      void roster.assign(true).then(() => {
        isDone = true;
      });
      while (!isDone) await world.step();
    };
    const machine = { name: 'machine', cores: 1 };
    roster.heard({ id: 'a', machine, beat: 1, isReady: true, holds: [], partitions: [], runs: new Map() });
    await look(0);
    await look(60_000);
    expect(told).toEqual([]);
    for (let seconds = 0; seconds < 5; seconds += 1) await look(1000);
    expect(told).toEqual(['worker a is silent: its partitions go to others']);
    expect(roster.known).toEqual([]);
  });
});

type Counts = Record<'upgrades' | 'refused' | 'kills' | 'stalls' | 'outages' | 'outputs', number>;

/** A process that runs, with what it opened. */
interface Living<T> {
  readonly process: Process;
  opened: T | undefined;
}

async function play(seed: number, counts: Counts): Promise<void> {
  const world = new World(seed);
  const { random } = world;
  const machines = new Machines(world, PARTITIONS);
  machines.cores = random.of([1, 8]);
  const first = randomDefinition(random, 0);
  const workers: Living<Worker>[] = [];
  let coordinator!: Living<Coordinator>;
  const broken: unknown[] = [];
  const startWorker = () => {
    const { process, worker } = machines.startWorker();
    const living: Living<Worker> = { process, opened: undefined };
    workers.push(living);
    worker.then(
      (opened) => {
        living.opened = opened;
      },
      (error) => broken.push(error),
    );
  };
  const startCoordinator = () => {
    const { process, coordinator: opening } = machines.startCoordinator(first);
    const living: Living<Coordinator> = { process, opened: undefined };
    coordinator = living;
    opening.then(
      (opened) => {
        living.opened = opened;
        opened.failed.catch((error) => broken.push(error));
      },
      (error) => broken.push(error),
    );
  };
  startCoordinator();
  for (let at = 0; at < 2; at += 1) startWorker();
  let version = 0;
  let refused = 0;
  for (let step = 0; step < 2000; step += 1) {
    await world.step();
    const dice = random.below(1000);
    const now = coordinator.opened;
    if (dice < 70 && !now) continue;
    if (now && dice < 40) {
      const source = random.of(Object.keys(now.definition.sources));
      // A sender whose record was not acknowledged does not know what became of it.
      machines.send(now, source, { key: random.of(KEYS), value: random.below(1000) }).catch(() => {});
    } else if (now && dice < 50) {
      version += 1;
      const wanted = edited(random, now.definition, version, ['t']);
      const stop = new AbortController();
      const fault = random.below(8);
      machines.failsToPrepare = fault === 0;
      machines.failsToMigrate = fault === 1;
      if (fault === 2)
        world.later(coordinator.process, () => stop.abort(new Error('the person changed their mind')));
      const drop = [...now.definition.steps.map(({ uid }) => uid), ...Object.keys(now.definition.sources)];
      now.upgrade(wanted, { drop }, stop.signal).catch(() => {
        refused += 1;
      });
    } else if (dice === 70) {
      const at = random.below(workers.length);
      const [killed] = workers.splice(at, 1);
      if (killed) world.kill(killed.process);
      counts.kills += 1;
      startWorker();
    } else if (dice === 71 && random.is(40)) {
      world.kill(coordinator.process);
      counts.kills += 1;
      startCoordinator();
    } else if (dice === 72) {
      random.of(workers).process.isStalled = true;
      counts.stalls += 1;
    } else if (dice < 80) {
      random.of(workers).process.isStalled = false;
    } else if (dice === 80) {
      machines.broker.isDown = true;
      counts.outages += 1;
    } else if (dice < 90) {
      machines.broker.isDown = false;
    } else if (dice === 90 && workers.length < 4) startWorker();
  }
  machines.broker.isDown = false;
  machines.broker.faults = 0;
  machines.failsToPrepare = false;
  machines.failsToMigrate = false;
  for (const { process } of workers) process.isStalled = false;
  const where = `seed ${seed}`;
  const isDone = () => {
    const lines = machines.expected();
    return lines.length <= machines.written.length && coordinator.opened && isQuiet(machines);
  };
  for (let steps = 0; !isDone(); steps += 50) {
    expect(broken, where).toEqual([]);
    if (steps > 15_000) {
      const lines = machines.expected();
      const has = new Set(machines.written.map(({ line }) => line));
      expect(
        lines.filter((line) => !has.has(line)),
        where,
      ).toEqual([]);
      throw new Error(`${where}: it does not end`);
    }
    for (let at = 0; at < 50; at += 1) await world.step();
  }
  check(where, machines);
  counts.upgrades += machines.commits.length - 1;
  counts.refused += refused;
  counts.outputs += machines.written.length;
  // Each gives its partitions back at a checkpoint of now.
  let isClosed = false;
  void Promise.all(workers.map(({ opened }) => opened?.close())).then(() => {
    isClosed = true;
  });
  while (!isClosed) await world.step();
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const { stored, expected } = machines.states(partition);
    for (const [uid, byKey] of stored)
      expect(byKey, `${where}: state of ${uid} in partition ${partition}`).toEqual(
        expected.get(uid) ?? new Map(),
      );
  }
}

/** Whether the source that counts has given all that it has, if there still is one. */
function isQuiet(machines: Machines): boolean {
  const { definition } = machines.commits.at(-1) as { definition: { sources: object } };
  if (!(COUNTED in definition.sources)) return true;
  return counted(machines).length >= COUNT;
}

function counted(machines: Machines): { key: string; value: number }[] {
  const numbers: { key: string; value: number }[] = [];
  for (let partition = 0; partition < PARTITIONS; partition += 1)
    for (const record of machines.records(partition).get(COUNTED) ?? [])
      if (record?.key.startsWith('n')) numbers.push(record);
  return numbers;
}

function check(where: string, machines: Machines): void {
  const lines = machines.expected();
  // Each once, and none that another version would have made.
  expect(machines.written.map(({ line }) => line).sort(), where).toEqual(lines);
  // By key, each sink has them in the order of the source.
  const latest = new Map<string, number>();
  for (const { line } of machines.written) {
    const [, sink = '', source = '', offset = '', key = ''] = /^(\S+) (\S+)\/(\d+) (\S+):/.exec(line) ?? [];
    if (sink === '$errors') continue;
    const queue = `${sink} ${source} ${key}`;
    expect(Number(offset), `${where}: ${queue}`).toBeGreaterThan(latest.get(queue) ?? -1);
    latest.set(queue, Number(offset));
  }
  // Nothing that a sender was told of is lost.
  const all = Array.from({ length: PARTITIONS }, (_, partition) => machines.records(partition));
  for (const { source, offset, record } of machines.acknowledged)
    expect(
      all.map((records) => records.get(source)?.[offset]).filter((each) => each),
      where,
    ).toEqual([record]);
  // A source that goes on at its positions gives each number once.
  const numbers = counted(machines).map(({ value }) => value);
  expect(new Set(numbers).size, where).toBe(numbers.length);
}
