import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { InferenceServer } from '../../support/pools/inference-server.js';
import { PoolFolder } from '../../support/pools/pool-folder.js';
import { book, PortalProcess, past } from '../../support/pools/portal-process.js';

const ZEROS = '0 0 0 0';
const ONE_HOST = 'engine: local\nlease: 4\nidle: 0.2\nsessions: 1\ngpu: { adapter: "null" }';
/** A person's booking, which nobody renews. */
const HOUR = { seconds: 3600 };
const TWO_HOSTS = `${ONE_HOST}\nmax: 2`;

let pool: PoolFolder;
let portal: PortalProcess;
afterEach(async () => {
  await portal?.kill();
  await pool?.close();
});

async function start(yaml: string, ...args: string[]): Promise<void> {
  pool = new PoolFolder(yaml);
  portal = await PortalProcess.start(pool, ...args);
}

const tokenOf = (tenant: string) => pool.addToken(tenant);

/** A pool and a portal for one test of several that run side by side. */
async function site(onTestFinished: (end: () => Promise<void>) => void, yaml: string) {
  const pool = new PoolFolder(yaml);
  const own = { pool, portal: await PortalProcess.start(pool) };
  onTestFinished(async () => {
    await own.portal.kill();
    await own.pool.close();
  });
  return own;
}

// These wait for leases, and for a person who stops a portal.
describe.concurrent('where time passes,', { timeout: 240_000 }, () => {
  it('a program gives its host back when it is killed, and the next program gets one', async ({
    expect,
    onTestFinished,
  }) => {
    const { pool, portal } = await site(onTestFinished, ONE_HOST);
    const program = pool.program(portal.address());
    await program.tell('compute');
    const client = portal.client();
    const heard: string[] = [];
    const next = past(client, await book(client, 'test'), 'waiting', (why) => heard.push(why));
    await expect.poll(() => heard).toContain('the only host is in use by its own tenant');
    program.child.kill('SIGKILL');
    expect(await next).toMatchObject({ phase: 'ready', places: [{ slot: 1 }] });
    client.close();
  });

  it('a program keeps its host while the portal is killed and started again', async ({
    expect,
    onTestFinished,
  }) => {
    const own = await site(onTestFinished, ONE_HOST.replace('lease: 4', 'lease: 6'));
    const { pool } = own;
    const program = pool.program(own.portal.address());
    await program.tell('compute');
    const client = own.portal.client();
    const waiting = await book(client, 'test', HOUR);
    // At once: a booking that was answered is not lost.
    await own.portal.kill();
    client.close();
    const { port } = new URL(own.portal.url);
    const killed = performance.now();
    own.portal = await PortalProcess.start(pool, '--listen', `127.0.0.1:${port}`);
    const phases = async () => (await own.portal.view()).pools[0]?.hosts.map(({ phase }) => phase);
    await expect.poll(phases).toEqual(['ready']);
    // Longer than a lease since it was killed: the portal renews the host's, and the program its booking.
    await new Promise((resolve) => setTimeout(resolve, killed + 6500 - performance.now()));
    expect(await program.tell('compute')).toBe(ZEROS);
    const [state] = (await own.portal.view()).pools;
    expect(state?.hosts).toMatchObject([{ term: 1, phase: 'ready' }]);
    expect(state?.bookings.map(({ id, phase }) => [id === waiting.id, phase])).toEqual([
      [false, 'ready'],
      [true, 'waiting'],
    ]);
  });

  it('a portal is shown by the command line, and ended with all that waits by farlight pool down --all, also when stopped', async ({
    expect,
    onTestFinished,
  }) => {
    // A lease so long that no host ends because it lapses.
    const { pool, portal } = await site(onTestFinished, TWO_HOSTS.replace('lease: 4', 'lease: 600'));
    const client = portal.client();
    for (let at = 0; at < 4; at += 1) await book(client, 'test', { program: `p${at}`, ...HOUR });
    const ready = async () =>
      (await portal.view()).pools[0]?.bookings.filter(({ phase }) => phase === 'ready').length;
    await expect.poll(ready).toBe(2);
    const { stdout: list } = await pool.farlight('pool', 'ls', '--portal', portal.url);
    expect(list).toMatch(/^test +local +2 of 2 +2$/m);
    expect(list).toMatch(/ p3 +waiting +all 2 hosts are in use, 2 of them by its own tenant$/m);
    const { stdout: told } = await pool.farlight('pool', 'describe', 'test', '--portal', portal.url);
    expect(told).toMatch(/^default +0\.0 +\d+\.\d +2 +4$/m);
    portal.child.kill('SIGSTOP');
    expect((await pool.farlight('pool', 'down', '--all')).stdout).toBe('ended 2 hosts\n');
    portal.child.kill('SIGCONT');
    await expect.poll(async () => (await portal.view()).pools[0]?.bookings).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await pool.hosts()).toEqual([]);
    await book(client, 'test', HOUR);
    await expect.poll(ready).toBe(1);
    const { stdout } = await pool.farlight('pool', 'down', '--all', '--portal', portal.url);
    expect(stdout).toBe('ended 1 host and 1 booking\n');
    await expect.poll(() => pool.hosts(), { timeout: 60_000 }).toEqual([]);
    client.close();
  });
});

describe('a program whose host is a portal’s', { timeout: 240_000 }, () => {
  it('gets one with its first request over TLS, gives it back, gets another, and costs what it used', async () => {
    await start(ONE_HOST, '--listen', 'https://127.0.0.1:0');
    const token = tokenOf('alice');
    const program = pool.program(portal.address(token));
    expect(await program.tell('drop')).toBe('dropped');
    expect(await pool.hosts()).toEqual([]);
    expect(await program.tell('compute')).toBe(ZEROS);
    expect(await pool.hosts()).toMatchObject([{ term: 1 }]);
    await program.tell('drop');
    await pool.gone();
    expect(await program.tell('compute')).toBe(ZEROS);
    expect(await pool.hosts()).toMatchObject([{ term: 2 }]);
    const { you, pools } = await portal.view(token);
    expect(you).toEqual({ tenant: 'alice', isOwner: false });
    expect(pools).toMatchObject([
      {
        hosts: [{ slot: 1, term: 2, phase: 'ready', tenant: 'alice' }],
        bookings: [{ phase: 'ready', program: 'pool-program.mjs', places: [{ slot: 1, term: 2 }] }],
        costs: [{ tenant: 'alice', hosts: 2, bookings: 2 }],
      },
    ]);
    expect(pools[0]?.costs[0]?.idle).toBeGreaterThan(0);
    expect((await program.end()).code).toBe(0);
    await pool.gone();
  });

  it('reaches the portal that its pool’s file names, and is refused without a token', async () => {
    await start(ONE_HOST, '--listen', 'https://127.0.0.1:0');
    const byFile = new PoolFolder(`portal: ${portal.address().replace(/pool\+|TOKEN@/g, '')}`, {
      FARLIGHT_PORTAL_TOKEN: tokenOf('alice'),
    });
    expect(await byFile.program().tell('compute')).toBe(ZEROS);
    byFile.env.FARLIGHT_PORTAL_TOKEN = '';
    expect(await byFile.program().tell('compute')).toMatch(/^FarlightError: .*the portal asks for a token/);
    const { stderr } = await byFile.farlight('pool', 'describe', byFile.file);
    expect(stderr).toMatch(/test\.yaml:1:1: this pool is a portal’s/);
    await byFile.close();
  });

  it('leaves the queue when it is ended while it waits', async () => {
    await start(ONE_HOST);
    const first = pool.program(portal.address());
    await first.tell('compute');
    const second = pool.program(portal.address());
    second.child.stdin.write('compute\n');
    const waiting = async () => (await portal.view()).pools[0]?.waiting;
    await expect.poll(waiting).toBe(1);
    second.child.kill('SIGINT');
    await second.done;
    expect(second.child.signalCode).toBe('SIGINT');
    expect(await waiting()).toBe(0);
  });

  it('gets several at once, or none', async () => {
    await start(TWO_HOSTS.replace('lease: 4', 'lease: 20'));
    const script = `
      import { allocateHosts, close, create } from 'farlight';
      const { addresses, idleMs, release } = await allocateHosts([process.argv[1] + '?hosts=2']);
      const gpus = addresses.map((host) => create({ host }));
      const devices = await Promise.all(gpus.map(async (gpu) => (await gpu.requestAdapter()).requestDevice()));
      console.log(new Set(addresses).size, devices.length, idleMs);
      for (const gpu of gpus) close(gpu);
      await release();
      await allocateHosts([process.argv[1] + '?hosts=3']).catch((error) => console.log(error.message));
    `;
    const { stdout, stderr } = await pool.node(script, portal.address()).done;
    expect(stderr).toBe('');
    expect(stdout).toMatch(
      /^2 2 200\nthe portal \S+ says: the pool test has at most 2 hosts at a time, and 3 are asked for; ask for fewer\n$/,
    );
    expect((await portal.view()).ends).toMatchObject([{ hosts: 2, places: [{ slot: 1 }, { slot: 2 }] }]);
    await pool.gone();
  });

  it('is an inference server, which answers on it and gives it back at its end', async () => {
    await start(
      ONE_HOST.replace('"null"', 'software').replace('lease: 4', 'lease: 20'),
      '--listen',
      'https://127.0.0.1:0',
    );
    const token = tokenOf('alice');
    const server = await InferenceServer.start(pool, portal.address(token));
    expect(await server.negated([1, 2, 3, 4])).toEqual([-1, -2, -3, -4]);
    expect((await portal.view(token)).pools[0]?.bookings).toMatchObject([{ phase: 'ready', hosts: 1 }]);
    expect(await server.end()).toBe(0);
    expect((await portal.view(token)).pools[0]?.bookings).toEqual([]);
    await pool.gone();
  });

  it('is told that its host was killed, and does not wait for it', async () => {
    await start(ONE_HOST.replace('lease: 4', 'lease: 20'));
    const program = pool.program(portal.address());
    await program.tell('compute');
    const [host] = await pool.hosts();
    const { pid } = JSON.parse(readFileSync(join(pool.state, 'jobs', host?.id ?? '', 'process'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    expect(await program.tell('lost')).toMatch(
      /^unknown: the portal has ended the booking of \S+ \(its host has ended: it was killed \(SIGKILL\)\)$/,
    );
    await program.tell('drop');
    expect(await program.tell('compute')).toBe(ZEROS);
  });

  it('is told why its host failed', async () => {
    await start('engine: local\ngpu: { command: [/bin/sh, -c, "echo farlight: no GPU here >&2; exit 3"] }');
    expect(await pool.program(portal.address()).tell('compute')).toBe(
      'FarlightError: the pool test got no host: it ended with exit code 3 (no GPU here)',
    );
  });
});

describe('a portal', { timeout: 240_000 }, () => {
  it('passes a host on within a tenant, and never to another one', async () => {
    await start(TWO_HOSTS, '--listen', 'https://127.0.0.1:0');
    const [alice, bob] = [tokenOf('alice'), tokenOf('bob')];
    const [one, other] = [portal.client(alice), portal.client(bob)];
    const first = await past(one, await book(one, 'test', HOUR));
    const [second, third] = [await book(one, 'test', HOUR), await book(one, 'test', HOUR)];
    const ready = await past(one, second);
    const late = await book(other, 'test', HOUR);
    await one.ask('DELETE', `/v1/bookings/${first.id}`);
    // A tenant with two hosts passes none on while another one waits.
    const given = await past(other, late);
    expect(given.addresses).not.toEqual(first.addresses);
    expect(given.places).toEqual([{ slot: first.places[0]?.slot, term: 2 }]);
    await one.ask('DELETE', `/v1/bookings/${ready.id}`);
    const { addresses, places } = ready;
    expect(await past(one, third)).toMatchObject({ addresses, places });
    // Neither sees what the other one has.
    const { pools } = await portal.view(bob);
    expect(pools[0]?.bookings.map(({ id }) => id)).toEqual([late.id]);
    expect(pools[0]?.costs.map(({ tenant }) => tenant)).toEqual(['bob']);
    await expect(other.ask('DELETE', `/v1/bookings/${third.id}`)).rejects.toThrow(/no such booking/);
    one.close();
    other.close();
  });

  it('shows its tokens to nobody: not in jobs, logs, state that others read, arguments or environments', async () => {
    await start(ONE_HOST, '--listen', 'https://127.0.0.1:0');
    const token = tokenOf('alice');
    const program = pool.program(portal.address(token));
    await program.tell('compute');
    const { token: term } = JSON.parse(pool.journal().get('1.1.claim') ?? '');
    const shown = [portal.log, execFileSync('ps', ['axww'], { encoding: 'utf8', maxBuffer: 1 << 26 })];
    const jobs = join(pool.state, 'jobs');
    for (const id of readdirSync(jobs))
      for (const file of readdirSync(join(jobs, id))) shown.push(readFileSync(join(jobs, id, file), 'utf8'));
    for (const file of readdirSync(join(pool.state, 'portal')))
      shown.push(readFileSync(join(pool.state, 'portal', file), 'utf8'));
    shown.push(JSON.stringify(await portal.view(token)));
    expect(shown.join('\n')).toContain('pool host --term 1');
    expect(term).toMatch(/^flt_/);
    for (const secret of [token, term]) expect(shown.join('\n')).not.toContain(secret);
  });
});
