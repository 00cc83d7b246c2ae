import { describe, expect, it } from 'vitest';
import { LanesMemory } from '#farlight/infer/hosts/lanes-memory.js';
import { ShardHosts } from '#farlight/infer/hosts/shard-hosts.js';
import type { Lane, LaneMemory } from '#farlight/infer/lanes/lane.js';
import { FakeTime } from '../../support/time/fake-time.js';

const { signal } = new AbortController();

/** Hosts of an inference server with so much memory each. All have a lane. */
function setUp(sizes: readonly number[], pools: readonly string[] = []) {
  const time = new FakeTime();
  const asked: string[] = [];
  const hosts = sizes.map((limit, at) => {
    const memory = new LanesMemory({ name: `host ${at}`, clock: time.clock, limit });
    const state = { limit, available: limit, reclaimable: 0, used: 0, peak: 0, reserved: 0, queue: 0 };
    let lose: (reason: string) => void = () => {};
    const lost = new Promise<string>((resolve) => {
      lose = resolve;
    });
    memory.add({ name: 'lane', memory: { state, onChange: () => {} } as LaneMemory, lost } as Lane);
    return { name: `host ${at}`, address: `grpc://${at}`, memory, lose };
  });
  const released: string[] = [];
  const shards = new ShardHosts({
    hosts,
    pools,
    clock: time.clock,
    allocate: async ([address = '']) => {
      asked.push(address);
      return { addresses: ['grpc://a', 'grpc://b'], release: async () => void released.push(address) };
    },
  });
  const free = () => hosts.map(({ memory }) => memory.capacity.bytes);
  return { time, hosts, shards, asked, released, free, take: (id: string) => shards.take(id, 2, signal) };
}

describe('the hosts of models that lie over several', () => {
  it('a sharded model gets the hosts with the most memory, and a host without a lane last', async () => {
    const { take, hosts } = setUp([100, 300, 200]);
    expect((await take('a')).addresses).toEqual(['grpc://1', 'grpc://2']);
    hosts[1]?.lose('gone');
    await Promise.resolve();
    expect((await take('a')).addresses).toEqual(['grpc://2', 'grpc://0']);
  });

  it('the hosts of a sharded model have so much less memory for their lanes until it is gone', async () => {
    const { take, free } = setUp([100, 100]);
    const [one, other] = [await take('a'), await take('b')];
    one.loaded([30, 20]);
    other.loaded([10, 10]);
    expect(free()).toEqual([60, 70]);
    await one.release(false);
    expect(free()).toEqual([90, 90]);
  });

  it('hosts keep memory for a minute for a model that has lost a host, which is loaded there again', async () => {
    const { time, take, free } = setUp([100, 100]);
    const before = await take('a');
    before.loaded([30, 20]);
    await before.release(true);
    await time.sleep(59_000);
    expect(free()).toEqual([70, 80]);
    const again = await take('a');
    again.loaded([30, 20]);
    expect(free()).toEqual([70, 80]);
    await time.sleep(2000);
    expect(free()).toEqual([70, 80]);
    await again.release(true);
    await time.sleep(60_000);
    expect(free()).toEqual([100, 100]);
  });

  it('a host is not taken if the server may use less memory there than the model needs', async () => {
    const { take, free } = setUp([100, 100]);
    const taken = await take('a');
    expect(() => taken.loaded([101, 20])).toThrow(
      'its part takes 101 bytes of GPU memory on host 0, and the server may use 100 there',
    );
    expect(free()).toEqual([100, 100]);
  });

  it('a pool is asked for all hosts at once if the server has too few, and gets them back', async () => {
    const { take, asked, released } = setUp([], ['pool://lab?hosts=8']);
    const taken = await take('a');
    expect(taken.addresses).toEqual(['grpc://a', 'grpc://b']);
    taken.loaded([1, 1]);
    expect(asked).toEqual(['pool://lab?hosts=2']);
    await taken.release(true);
    expect(released).toEqual(asked);
  });

  it("a portal's pool is asked for hosts with the pin of its address", async () => {
    const { take, asked } = setUp([], ['pool+https://gpu.example:7075/lab?ca=PIN&hosts=8']);
    await take('a');
    expect(asked).toEqual(['pool+https://gpu.example:7075/lab?ca=PIN&hosts=2']);
  });

  it('without a pool too few hosts are an error', async () => {
    const { take } = setUp([100]);
    await expect(take('a')).rejects.toThrow(
      'it lies over 2 hosts, and the server has 1: name more with --host, or a pool',
    );
  });
});
