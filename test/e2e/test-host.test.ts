import { afterEach, describe, expect, it } from 'vitest';
import { create, globals } from '#farlight/client/index.js';
import { type TestHost, type TestHostOptions, testHost } from '#farlight/testing/index.js';
import { SessionClient } from '../support/clients/session-client.js';
import { executorsOf, until } from '../support/machine/processes.js';

const { GPUBufferUsage, GPUMapMode } = globals;

const hosts: TestHost[] = [];
afterEach(async () => {
  await Promise.all(hosts.splice(0).map((host) => host.close()));
});

async function start(options: TestHostOptions): Promise<TestHost> {
  const host = await testHost(options);
  hosts.push(host);
  return host;
}

/** Writes numbers on the host's GPU and reads them back. */
async function copyThere(gpu: GPU): Promise<number[]> {
  const device = await (await gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('no device');
  const source = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  const target = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(source, 0, Uint32Array.from([1, 2, 3, 4]));
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, target, 0, 16);
  device.queue.submit([encoder.finish()]);
  await target.mapAsync(GPUMapMode.READ);
  return [...new Uint32Array(target.getMappedRange())];
}

for (const transport of ['host', 'memory'] as const) {
  describe(`a test host over ${transport}`, () => {
    it(`a test host over ${transport} is a GPU for tests, and counts the traffic`, async () => {
      const host = await start({ adapter: 'software', transport });
      expect(host.adapter).toMatchObject({ name: 'SwiftShader Device (Subzero)', software: true });
      expect(await copyThere(create({ transport: host.transport }))).toEqual([1, 2, 3, 4]);
      expect(host.counters).toMatchObject({ sessionsOpened: 1, executorsLost: 0 });
      await until(() => Math.min(host.counters.framesUp, host.counters.bytesDown) > 0);
    });

    it(`a closing test host over ${transport} ends its sessions with a reason, and accepts no others`, async () => {
      const host = await start({ adapter: 'null', transport });
      const client = new SessionClient(host.transport);
      await client.welcome;
      await host.close();
      expect(await client.closed).toMatchObject({ code: 'SHUTTING_DOWN' });
      expect(host.counters.sessionsActive).toBe(0);
      const code = transport === 'host' ? 'UNREACHABLE' : 'SHUTTING_DOWN';
      expect(await new SessionClient(host.transport).closed).toMatchObject({ code });
      expect(await executorsOf(process.pid)).toEqual([]);
    });
  });
}

describe('a test host', () => {
  it('a test host can be reached by its URL', async () => {
    const host = await start({ adapter: 'software' });
    expect(await copyThere(create({ host: host.url }))).toEqual([1, 2, 3, 4]);
  });

  it('a test host that cannot open its adapter says so', async () => {
    for (const transport of ['host', 'memory'] as const) {
      await expect(testHost({ adapter: 'RTX 9090', transport })).rejects.toMatchObject({
        code: 'NO_ADAPTER',
      });
    }
  });
});
