import { describe, expect, it } from 'vitest';
import type { Application } from '#farlight/stream/run/application.js';
import { oracle } from './support/arithmetic.js';
import { Chaos, settled } from './support/chaos.js';
import { definitionOf, edited, randomDefinition } from './support/definitions.js';
import { numberOf, tensorOf } from './support/numbers.js';
import { Site } from './support/site.js';

const CASES = Number(process.env.FARLIGHT_UPGRADES ?? 150);
const SEED = Number(process.env.FARLIGHT_SEED ?? 20261129);
const KEYS = ['a', 'b', 'c'];

describe('an application that is upgraded and killed at random moments', () => {
  it('writes exactly the outputs of a run, record by record, that switches at the same cuts', async () => {
    const counts = { upgrades: 0, refused: 0, kills: 0, records: 0 };
    for (let at = 0; at < CASES; at += 1) await play(SEED + at, counts);
    console.log(`${CASES} cases: ${JSON.stringify(counts)}`);
    expect(counts.upgrades).toBeGreaterThan(CASES / 10);
    expect(counts.kills).toBeGreaterThan(CASES / 10);
  }, 1_800_000);
});

describe('an upgrade', () => {
  const done = async <T>(chaos: Chaos, act: Promise<T>): Promise<T> => {
    await chaos.drain();
    return act;
  };

  it.each([false, true])(
    'brings back a source, whose offsets go on: each output has an identity of its own (killed between: %s)',
    async (isKilled) => {
      const chaos = new Chaos(SEED);
      const site = new Site(chaos);
      const both = definitionOf('v1', ['s', 't'], { p: ['s.x'], q: ['t.x'] });
      const one = definitionOf('v2', ['s'], { p: ['s.x'] });
      let application = await opened(chaos, site.open(both));
      const send = (value: number) => done(chaos, site.send(application, 't', { key: 'k', value }));
      for (const value of [1, 2, 3]) await send(value);
      await done(chaos, application.upgrade(one, { drop: ['t', 'q'] }));
      await done(chaos, application.checkpoint());
      if (isKilled) {
        chaos.kill();
        application = await opened(chaos, site.open(both));
      }
      await done(chaos, application.upgrade({ ...both, id: 'v3' }));
      for (const value of [4, 5]) await send(value);
      expect(site.written.map((line) => line.replace(/:.*/, ''))).toEqual(
        [0, 1, 2, 3, 4].map((offset) => `to-q t/${offset} k`),
      );
      await application.close();
    },
  );

  it('brings back a source, which begins anew though the process was killed right after it was dropped', async () => {
    const chaos = new Chaos(SEED);
    const site = new Site(chaos);
    const both = definitionOf('v1', ['s', 't'], { p: ['s.x'], q: ['t.x'] });
    const one = definitionOf('v2', ['s'], { p: ['s.x'] });
    let application = await opened(chaos, site.open(both));
    const values = { x: tensorOf(1) };
    await done(chaos, application.ingest('t', { key: 'k', values, position: 7 }));
    await done(chaos, application.upgrade(one, { drop: ['t', 'q'] }));
    chaos.kill();
    application = await opened(chaos, site.open(both));
    await done(chaos, application.upgrade({ ...both, id: 'v3' }));
    expect(site.startedAt.get('t')).toEqual(new Map());
    await application.close();
  });

  it('to a step that asks for a value that waiting records do not have: they go to the errors, and later ones on', async () => {
    const chaos = new Chaos(SEED);
    const site = new Site(chaos);
    const application = await opened(chaos, site.open(definitionOf('v1', ['s'], { p: ['s.x'] })));
    const wanted = definitionOf('v2', ['s'], { p: ['s.x'], q: ['s.y'], r: ['q.o'] });
    await done(chaos, application.upgrade(wanted));
    await done(chaos, site.send(application, 's', { key: 'k', value: 1 }));
    expect([...site.written].sort()).toEqual(['$errors s/0 k: q', 'to-p s/0 k: 1']);
    await done(chaos, application.checkpoint());
    await application.close();
  });

  it('that is given up while its version is made ready waits for no records that pass again', async () => {
    const chaos = new Chaos(SEED);
    const site = new Site(chaos);
    const first = definitionOf('v1', ['s'], { p: ['s.x'] });
    let application = await opened(chaos, site.open(first));
    for (let value = 0; value < 100; value += 1)
      await done(chaos, site.send(application, 's', { key: 'k', value }));
    chaos.kill();
    application = await opened(chaos, site.open(first));
    const stop = new AbortController();
    const upgrade = application.upgrade(
      definitionOf('v2', ['s'], { p: ['s.x'], q: ['s.x'] }),
      {},
      stop.signal,
    );
    const ended = expect(upgrade).rejects.toThrow('the person changed their mind');
    await settled();
    stop.abort(new Error('the person changed their mind'));
    while (application.status().isUpgrading) await chaos.step();
    await ended;
    expect(application.status().sources.map(({ waiting }) => waiting > 0)).toEqual([true]);
    await chaos.drain();
    await application.close();
  });
});

type Counts = Record<'upgrades' | 'refused' | 'kills' | 'records', number>;

async function play(seed: number, counts: Counts): Promise<void> {
  const chaos = new Chaos(seed);
  const { random } = chaos;
  const site = new Site(chaos);
  let version = 0;
  const first = randomDefinition(random, version);
  let wanted = first;
  let application = await opened(chaos, site.open(first));
  const problems: unknown[] = [];
  for (let step = 0; step < 120; step += 1) {
    const now = application;
    const dice = random.below(100);
    if (dice < 30) {
      const source = random.of(Object.keys(now.definition.sources));
      const record = { key: random.of(KEYS), value: random.below(1000) };
      // A sender whose record was not acknowledged does not know what became of it.
      site.send(now, source, record).catch(() => {});
    } else if (dice < 35) {
      version += 1;
      wanted = edited(random, now.definition, version, ['s', 't']);
      const stop = new AbortController();
      const fault = random.below(8);
      site.failsToPrepare = fault === 0;
      site.failsToStore = fault === 1;
      site.failsToMigrate = fault === 2;
      if (fault === 3) void chaos.later(() => stop.abort(new Error('the person changed their mind')));
      const drop = [...now.definition.steps.map(({ uid }) => uid), ...Object.keys(now.definition.sources)];
      now.upgrade(wanted, { drop }, stop.signal).catch((error) => problems.push(error));
    } else if (dice < 39) now.checkpoint().catch(() => {});
    else if (dice < 41) {
      chaos.kill();
      counts.kills += 1;
      await settled();
      site.failsToStore = false;
      site.failsToPrepare = false;
      application = await opened(chaos, site.open(first));
    } else if (!chaos.isIdle) await chaos.step();
  }
  site.failsToStore = false;
  site.failsToMigrate = false;
  site.failsToPrepare = false;
  await chaos.drain();
  const last = application.checkpoint();
  await chaos.drain();
  await last;
  check(seed, site);
  counts.upgrades += site.committed.length - 1;
  counts.refused += problems.length;
  counts.records += site.written.length;
  await application.close();
}

async function opened(chaos: Chaos, opening: Promise<Application>): Promise<Application> {
  let application: Application | undefined;
  const done = opening.then((opened) => {
    application = opened;
  });
  while (!application) {
    await chaos.step();
    await Promise.race([done, settled()]);
  }
  application.failed.catch((error) => {
    throw error;
  });
  return application;
}

function check(seed: number, site: Site): void {
  const where = `seed ${seed}`;
  const { lines, states } = oracle(site.committed, site.records, site.ends);
  // Each once, and none that another version would have made.
  expect([...site.written].sort(), where).toEqual(lines.sort());
  // By key, each sink has them in the order of the source.
  const latest = new Map<string, number>();
  for (const line of site.written) {
    const [, sink = '', source = '', offset = '', key = ''] = /^(\S+) (\S+)\/(\d+) (\S+):/.exec(line) ?? [];
    if (sink === '$errors') continue;
    const queue = `${sink} ${source} ${key}`;
    expect(Number(offset), `${where}: ${queue}`).toBeGreaterThan(latest.get(queue) ?? -1);
    latest.set(queue, Number(offset));
  }
  // Nothing that a sender was told of is lost.
  for (const { source, offset, value } of site.acknowledged)
    expect(site.records.get(source)?.[offset]?.value, where).toBe(value);
  const stored = site.checkpoints.at(-1);
  for (const step of stored?.definition.steps ?? []) {
    const mine = [...(stored?.states.get(step.uid) ?? [])].map(([key, { s }]) => [key, numberOf(s)] as const);
    const theirs = Object.keys(step.state).length > 0 ? [...(states.get(step.uid) ?? [])] : [];
    expect(new Map(mine), `${where}: state of ${step.uid}`).toEqual(new Map(theirs));
  }
}
