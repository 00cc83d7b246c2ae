import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { encodePacket, PACKET } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import { RawClient } from '../support/clients/raw-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { fakeHosts } from '../support/hosts/fake-hosts.js';
import { executorsOf, until } from '../support/machine/processes.js';

const start = fakeHosts();

describe('many sessions that begin at once', () => {
  it('all get an answer while a few executors start, and the other executors start afterwards', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'farlight-many-'));
    const gpuOpens = join(folder, 'gpu');
    writeFileSync(gpuOpens, '');
    const daemon = await start({ adapter: `once:${gpuOpens}`, spares: 1, warm: 0, maxSessions: 100 });
    const others = await executorsOf(process.pid);
    // From now on no GPU opens: only the spare has one.
    rmSync(gpuOpens);
    const most = Math.max(2, availableParallelism());
    const clients = Array.from({ length: 70 }, () => new RawClient(daemon.url));
    await Promise.all(
      clients.map((client) => {
        client.hello();
        return new Promise((resolve) => client.socket.once('data', resolve));
      }),
    );
    await until(() => daemon.counters.sessionsActive === clients.length);
    const started = (await executorsOf(process.pid)).filter((pid) => !others.includes(pid));
    expect(started.length).toBeLessThanOrEqual(most);
    // Most disconnect, and nothing starts for them; the others are served in turn.
    const stay = clients.splice(0, most + 2);
    for (const { socket } of clients) socket.destroy();
    await until(() => daemon.counters.sessionsActive === stay.length);
    writeFileSync(gpuOpens, '');
    for (const client of stay) {
      await client.next(PACKET.welcome);
      // As the reply to a ping before Welcome.
      client.socket.write(encodePacket(PACKET.pong));
      client.frame(Uint8Array.of(ACTION.echo, 7));
      expect([...(await client.next(PACKET.data))]).toEqual([ACTION.echo, 7]);
    }
    rmSync(folder, { recursive: true });
  });

  it('all get a device of the null adapter', async () => {
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', warm: 0 });
    const gpus = Array.from({ length: 10 }, () => create({ host: daemon.url }));
    const devices = await Promise.all(gpus.map(async (gpu) => (await gpu.requestAdapter())?.requestDevice()));
    expect(devices.filter((device) => device).length).toBe(gpus.length);
    for (const gpu of gpus) close(gpu);
    await daemon.close();
  });
});
