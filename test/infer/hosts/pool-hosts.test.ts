import { describe, expect, it } from 'vitest';
import type { EngineHost } from '#farlight/infer/engine/hosts.js';
import { due, type Load, PoolHosts } from '#farlight/infer/hosts/pool-hosts.js';
import type { LaneState } from '#farlight/infer/service/state.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import { FakeTime } from '../../support/time/fake-time.js';

describe('an inference server whose hosts are of a pool', () => {
  const load: Load = { hosts: 1, isComing: false, most: 4, backlog: 0, idle: [0], idleMs: 60_000 };

  it.each<[string, Partial<Load>, ReturnType<typeof due>]>([
    ['takes the first one at once', { hosts: 0, idle: [] }, { do: 'add' }],
    ['keeps one, however long it is idle', { idle: [1e9] }, undefined],
    ['takes another where seconds of work wait', { backlog: 2001 }, { do: 'add' }],
    ['takes none for less work, which would be done first', { backlog: 2000 }, undefined],
    ['takes none more where each has less to do', { hosts: 2, idle: [0, 0], backlog: 4000 }, undefined],
    ['takes them one after the other', { backlog: 9000, isComing: true }, undefined],
    ['takes no more than it may', { backlog: 9000, most: 1 }, undefined],
    [
      'gives back the one that was idle longest',
      { hosts: 3, idle: [0, 70_000, 65_000] },
      { do: 'remove', at: 1 },
    ],
    ['gives none back while work waits', { hosts: 2, idle: [0, 70_000], backlog: 1 }, undefined],
    ['gives none back before its time', { hosts: 2, idle: [0, 59_999] }, undefined],
  ])('%s', (_, changes, expected) => {
    expect(due({ ...load, ...changes })).toEqual(expected);
  });

  /** A pool of three hosts, and an engine whose load is set. */
  function setUp(address = 'pool://lab') {
    const time = new FakeTime();
    const said: string[] = [];
    const released: string[] = [];
    const given: string[] = [];
    const state = { backlog: 0, requests: 0, lanes: [] as LaneState[] };
    const engine = {
      hosts: new Set<string>(),
      state: () => ({
        ...state,
        lanes: [...engine.hosts].map((host): LaneState => {
          const is = state.requests > 0 ? 'running' : 'idle';
          return (
            lanes.get(host) ?? { name: `${host}#0`, host, resource: 'gpu', state: is, for: 0, loaded: [] }
          );
        }),
      }),
      addHost: ({ name }: EngineHost) => void engine.hosts.add(name),
      removeHost: async (name: string) => void engine.hosts.delete(name),
    };
    const lanes = new Map<string, LaneState>();
    const pool = new PoolHosts({
      address,
      open: async (_, name) => ({ name }) as EngineHost,
      log: (message) => said.push(message),
      clock: time.clock,
      allocate: async () => {
        const free = ['a', 'b', 'c'].find((url) => !given.includes(url)) ?? 'a';
        given.push(free);
        const release = async () => {
          released.push(free);
          given.splice(given.indexOf(free), 1);
        };
        return { addresses: [free], idleMs: 60_000, release };
      },
    });
    return { time, said, released, state, engine, pool, lanes };
  }

  async function started(address?: string) {
    const all = setUp(address);
    all.engine.addHost(await all.pool.first());
    all.pool.follow(all.engine);
    return all;
  }

  it('a server gets more hosts as its queue grows, until the pool has none left, and gives idle ones back', async () => {
    const { time, said, released, state, engine, pool } = await started();
    Object.assign(state, { backlog: 100_000, requests: 50 });
    await time.pass(65_000);
    expect([...engine.hosts]).toEqual(['pool://lab#1', 'pool://lab#2', 'pool://lab#3']);
    expect(said).toEqual([
      'The host pool://lab#2 has joined.',
      'The host pool://lab#3 has joined.',
      'pool://lab gave no other host: it has no more hosts; raise its max',
    ]);
    // The host that was given twice is in use: its other leases alone were given back.
    expect(released).toEqual(['a', 'a', 'a']);
    released.length = 0;
    Object.assign(state, { backlog: 0, requests: 0 });
    await time.pass(59_000);
    expect(engine.hosts.size).toBe(3);
    await time.pass(4000);
    expect(engine.hosts.size).toBe(1);
    expect(released).toHaveLength(2);
    await pool.close();
    expect(released).toHaveLength(3);
  });

  it('a server is closed only when its leaving hosts are given back, too', async () => {
    const { time, engine, pool, released, lanes } = await started();
    const [lost = ''] = engine.hosts;
    lanes.set(lost, { name: 'l', host: lost, resource: 'gpu', state: 'closed', for: 0, loaded: [] });
    const lanesClosed = deferred<undefined>();
    engine.removeHost = () => lanesClosed.promise;
    await time.pass(25_000);
    expect(engine.hosts.size).toBe(2);
    let isClosed = false;
    const closed = pool.close().then(() => {
      isClosed = true;
    });
    await time.pass(1000);
    expect(isClosed).toBe(false);
    lanesClosed.resolve(undefined);
    await closed;
    expect(released.sort()).toEqual(['a', 'b']);
  });

  it("the names of a portal's hosts hold no token", async () => {
    const { engine } = await started(
      `pool+https://flt_${'x'.repeat(43)}@gpu.example:7075/lab?ca=PIN&hosts=2`,
    );
    expect([...engine.hosts]).toEqual(['pool+https://***@gpu.example:7075/lab?ca=PIN#1']);
  });

  it("a server has no more hosts than the pool's address allows", async () => {
    const { time, state, engine } = await started('pool://lab?hosts=2');
    Object.assign(state, { backlog: 100_000, requests: 50 });
    await time.pass(5000);
    expect(engine.hosts.size).toBe(2);
  });

  it('a host whose lanes stay closed is replaced', async () => {
    const { time, said, released, engine, lanes } = await started();
    const [lost = ''] = engine.hosts;
    lanes.set(lost, { name: 'l', host: lost, resource: 'gpu', state: 'closed', for: 0, loaded: [] });
    await time.pass(25_000);
    expect(said).toEqual(['The host pool://lab#1 was lost.', 'The host pool://lab#2 has joined.']);
    expect([...engine.hosts]).toEqual(['pool://lab#2']);
    expect(released).toEqual(['a']);
  });
});
