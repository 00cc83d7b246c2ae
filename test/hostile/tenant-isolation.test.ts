import { afterEach, describe, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { close, create, globals, stats } from '#farlight/client/index.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { PACKET } from '#farlight/proto/wire/packet.js';
import { tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { pidOf } from '../support/hosts/fake-hosts.js';
import { secureHosts, secureRaw } from '../support/hosts/secure-host.js';
import { until } from '../support/machine/processes.js';

const hosts = secureHosts();
afterEach(() => hosts.close());

describe('tenants', () => {
  it('cannot resume the session of another tenant, nor learn that it exists', async () => {
    const { invite, daemon } = await hosts.start();
    const [alice, bob] = [invite('alice'), invite('bob')];
    const first = secureRaw(alice.url).hello();
    const { sessionId } = await first.object(PACKET.welcome);
    const thief = secureRaw(bob.url).greet(PACKET.resume, { sessionId, taken: 0, attempt: 1 });
    const liar = secureRaw(bob.url).greet(PACKET.resume, { sessionId: 'none', taken: 0, attempt: 1 });
    const said = await thief.object(PACKET.end);
    expect(said).toMatchObject({ code: 'DISCONNECTED', message: expect.stringMatching(/does not know/) });
    expect(await liar.object(PACKET.end)).toEqual(said);
    const nobody = secureRaw(daemon.url).greet(PACKET.resume, { sessionId, taken: 0, attempt: 1 });
    await nobody.closed;
    expect(nobody.packets).toEqual([]);
    first.socket.destroy();
    const again = secureRaw(alice.url).greet(PACKET.resume, { sessionId, taken: 0, attempt: 1 });
    await again.next(PACKET.resumed);
    again.frame(Uint8Array.of(ACTION.echo, 9));
    expect([...(await again.next(PACKET.data))]).toEqual([ACTION.echo, 9]);
    again.socket.destroy();
  });

  it('do not learn why the session of another tenant ended', async () => {
    const { invite } = await hosts.start({ warm: 0 });
    const [alice, bob] = [invite('alice'), invite('bob')];
    const first = secureRaw(alice.url).hello();
    const { sessionId } = await first.object(PACKET.welcome);
    first.frame(Uint8Array.of(ACTION.exit));
    await first.closed;
    const ask = async (url: string) => {
      const client = secureRaw(url).greet(PACKET.resume, { sessionId, taken: 0, attempt: 1 });
      return (await client.object(PACKET.end)).code;
    };
    let code: unknown;
    // The connection may close before the daemon knows of its process.
    do {
      const client = secureRaw(alice.url).greet(PACKET.resume, { sessionId, taken: 0, attempt: 1 });
      await client.closed;
      const end = client.packets.find(([kind]) => kind === PACKET.end);
      code = end && JSON.parse(Buffer.from(end.subarray(1)).toString()).code;
    } while (code === undefined);
    expect(code).toBe('EXECUTOR_LOST');
    expect(await ask(bob.url)).toBe('DISCONNECTED');
  });

  it('never get an executor that another tenant has had', async () => {
    const { invite, daemon } = await hosts.start({ warm: 2, spares: 0 });
    const [alice, bob] = [invite('alice'), invite('bob')];
    const pidFor = async (url: string) => {
      const { executorsWarmed } = daemon.counters;
      const client = new SessionClient(remoteHost(url));
      const pid = await pidOf(client);
      client.link.close();
      await client.closed;
      await until(() => daemon.counters.executorsWarmed > executorsWarmed);
      return pid;
    };
    const hers = await pidFor(alice.url);
    expect(await pidFor(bob.url)).not.toBe(hers);
    expect(await pidFor(alice.url)).toBe(hers);
  });

  it('neither learn of the contents of another tenant nor get them', async () => {
    const root = hosts.folder();
    const { invite } = await hosts.start({ adapter: 'null', executorEntry: undefined, contents: { root } });
    const [alice, bob] = [invite('alice'), invite('bob')];
    const bytes = new Uint8Array(1 << 16).map((_, at) => (at * 7) % 253);
    const upload = async (host: string) => {
      const gpu = create({ host });
      const device = await (await gpu.requestAdapter())?.requestDevice();
      if (!device) throw new Error('no device');
      const { GPUBufferUsage } = globals;
      const buffer = device.createBuffer({ size: bytes.length, usage: GPUBufferUsage.COPY_DST });
      device.queue.writeBuffer(buffer, 0, bytes);
      await device.queue.onSubmittedWorkDone();
      const { bytesNotSent } = stats(gpu);
      close(gpu);
      return bytesNotSent;
    };
    const kept = async (tenant: string) => {
      const { readdirSync } = await import('node:fs');
      const count = () => {
        try {
          const files = readdirSync(tenantFolder(tenant, root), { withFileTypes: true });
          return files.filter((file) => file.isFile() && !file.name.startsWith('new-')).length;
        } catch {
          return 0;
        }
      };
      await until(() => count() > 0);
    };
    expect(await upload(alice.url)).toBe(0);
    await kept('alice');
    expect(await upload(bob.url), "bob's program sends what alice's has sent").toBe(0);
    await kept('bob');
    expect(await upload(alice.url)).toBe(bytes.length);
  });
});
