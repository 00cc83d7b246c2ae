import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import '../support/session-reasons.js';
import { BlobStore } from '#farlight/server/blobs/blob-store.js';
import { tenantFolder } from '#farlight/server/blobs/tenants.js';
import { memoryLog } from '../support/memory-log.js';
import { secureHosts } from '../support/secure-host.js';
import { TenantProcess } from '../support/tenant-process.js';

const MIB = 2 ** 20;
const LIMITS = { sessions: 3, gpuMemory: 64 * MIB, inFlight: 24 * MIB, blobs: 8 * MIB };
const STEPS = 40;

const hosts = secureHosts();
const notes = memoryLog();
const running: TenantProcess[] = [];
let host: Awaited<ReturnType<typeof hosts.start>>;
let blobs: string;
/** The other tenant's program, which is to notice nothing. */
let steady: TenantProcess;

beforeAll(async () => {
  blobs = hosts.folder();
  host = await hosts.start({
    adapter: 'software',
    executorEntry: undefined,
    resumeMs: 300,
    tenantLimits: LIMITS,
    blobs: { root: blobs },
    log: notes.log,
  });
  [steady] = await TenantProcess.start(host.invite('steady').url, 'steps');
}, 120_000);
afterEach(async () => {
  await Promise.all(running.splice(0).map((tenant) => tenant.end()));
});
afterAll(async () => {
  await steady?.end();
  await hosts.close();
});

/**
 * How much longer a step of the steady tenant takes beside another one: both are measured several times in turn, since
 * the machine has other things to do, and the best of each is compared.
 */
async function slowdown(url: string, what: string): Promise<{ ratio: number; said: string }> {
  const alone: number[] = [];
  const beside: number[] = [];
  let said = '';
  for (let round = 0; round < 3; round += 1) {
    alone.push(await steady.ask(STEPS));
    const [tenant, line] = await TenantProcess.start(url, what);
    running.push(tenant);
    said = line;
    beside.push(await steady.ask(STEPS));
    await tenant.end();
  }
  const ratio = Math.min(...beside) / Math.min(...alone);
  console.log(
    `beside ${what}: ${ratio.toFixed(2)} x (${beside.map((ms) => ms.toFixed(1))} to ${alone.map((ms) => ms.toFixed(1))} ms)`,
  );
  return { ratio, said };
}

describe('a tenant beside one that', () => {
  it('has all the GPU memory that it may have goes on as before, and the other is out of memory', async () => {
    const { ratio, said } = await slowdown(host.invite('greedy').url, 'memory');
    expect(said).toMatch(/^ready 8 .*8388608 bytes are more than what is left of the 67108864 bytes/);
    expect(ratio).toBeLessThan(2);
  }, 120_000);

  it('has all the sessions that it may have opens another one, and the other hears that it is busy', async () => {
    const { url } = host.invite('greedy');
    const { ratio, said } = await slowdown(url, 'sessions');
    expect(said).toMatch(/^ready 3 BUSY the tenant greedy may have 3 sessions at a time/);
    expect(ratio).toBeLessThan(2);
    const refused = notes.of('connection refused').at(-1);
    expect(refused).toMatchObject({ code: 'BUSY', why: expect.stringMatching(/greedy may have 3 sessions/) });
    const [other, opened] = await TenantProcess.start(host.invite('steady').url, 'sessions');
    running.push(other);
    // One of its three is the steady program's.
    expect(opened).toMatch(/^ready 2 /);
  }, 120_000);

  it('uploads more than is kept for it goes on as before, and what is kept stays below its bound', async () => {
    const { ratio } = await slowdown(host.invite('greedy').url, 'uploads');
    const folder = tenantFolder('greedy', blobs);
    const { bytes } = new BlobStore({ folder, maxBytes: 0 }).summary();
    expect(bytes).toBeLessThanOrEqual(LIMITS.blobs);
    expect(bytes).toBeGreaterThan(LIMITS.blobs / 2);
    expect(ratio).toBeLessThan(2);
  }, 120_000);

  it('leaves its replies at the host, as many as it may, goes on as before', async () => {
    const [tenant] = await TenantProcess.start(host.invite('greedy').url, 'flight');
    tenant.child.kill('SIGSTOP');
    running.push(tenant);
    const beside = await steady.ask(STEPS);
    await tenant.end();
    const alone = await steady.ask(STEPS);
    console.log(`beside flight: ${(beside / alone).toFixed(2)} x`);
    expect(beside).toBeLessThan(alone * 2 + 5);
  }, 120_000);

  it('keeps the GPU busy is held up by no more than its turns', async () => {
    const { ratio } = await slowdown(host.invite('greedy').url, 'gpu');
    expect(ratio).toBeLessThan(8);
  }, 120_000);

  it('submits what does not end goes on beside it, however long that is let go on', async () => {
    const { ratio } = await slowdown(host.invite('greedy').url, 'endless');
    expect(ratio).toBeLessThan(8);
  }, 120_000);

  it('keeps the GPU busy from three programs has half of its time with one', async () => {
    const start = async (tenant: string) => {
      const [process] = await TenantProcess.start(host.invite(tenant).url, 'gpu');
      running.push(process);
      return process;
    };
    const one = await start('one');
    const three = [await start('three'), await start('three'), await start('three')];
    const counts = () => Promise.all([one, ...three].map((each) => each.ask()));
    const before = await counts();
    await new Promise((resolve) => setTimeout(resolve, 8000));
    const after = await counts();
    const [own, ...others] = after.map((count, index) => count - (before[index] as number)) as [number];
    const share = own / (own + others.reduce((sum: number, each) => sum + each, 0));
    console.log(`one program beside three of another tenant: ${(100 * share).toFixed(0)}% of the GPU's work`);
    // Without turns it has a fourth.
    expect(share).toBeGreaterThan(0.35);
    expect(share).toBeLessThan(0.65);
  }, 120_000);
});
