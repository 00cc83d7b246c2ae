import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import '../support/session-reasons.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import { memoryLog } from '../support/memory-log.js';
import { secureHosts } from '../support/secure-host.js';
import { until } from '../support/session-client.js';
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

/** So many rounds there are at most, where three do not show that a tenant goes on as before. */
const MOST_ROUNDS = 12;

interface Beside {
  /** The most that a step beside it may take, in steps that the tenant makes alone. */
  most: number;
  /** Whether the other program is stopped once it is at what it does. */
  stopped?: boolean;
}

/**
 * How much longer a step of the steady tenant takes beside another one that does this, and what that one said. Both are
 * measured in turn, several times, and what is compared are times of one round: the machine has other things to do, and
 * more of them at one time than at another. The middle one of the rounds counts. The other tenant is a new one in each,
 * which finds nothing used up.
 */
async function slowdown(what: string, { most, stopped = false }: Beside) {
  const alone: number[] = [];
  const beside: number[] = [];
  const ratio = () => {
    const ratios = beside.map((ms, round) => ms / (alone[round] as number)).sort((a, b) => a - b);
    return ratios[Math.floor((ratios.length - 1) / 2)] as number;
  };
  let said = '';
  let tenant = '';
  while (alone.length < 3 || (alone.length < MOST_ROUNDS && ratio() >= most)) {
    await until(() => host.daemon.counters.sessionsActive === 1);
    alone.push(await steady.ask(STEPS));
    tenant = `${what}-${alone.length}`;
    const [program, line] = await TenantProcess.start(host.invite(tenant).url, what);
    running.push(program);
    if (stopped) program.child.kill('SIGSTOP');
    said = line;
    beside.push(await steady.ask(STEPS));
    await program.end();
  }
  const figures = [beside, alone].map((times) => times.map((ms) => ms.toFixed(1)).join());
  console.log(`beside ${what}: ${ratio().toFixed(2)} x (${figures.join(' to ')} ms)`);
  return { ratio: ratio(), said, tenant };
}

describe('a tenant beside one that', () => {
  it('has all its GPU memory continues as before, and the other is out of memory', async () => {
    const { ratio, said } = await slowdown('memory', { most: 2 });
    expect(said).toMatch(/^ready 8 .*8388608 bytes are more than is left of the 67108864 bytes/);
    expect(ratio).toBeLessThan(2);
  }, 120_000);

  it('has all its sessions opens another one, and the other gets BUSY', async () => {
    const { ratio, said, tenant } = await slowdown('sessions', { most: 2 });
    expect(said).toContain(`ready 3 BUSY the tenant ${tenant} may have 3 sessions at a time`);
    expect(ratio).toBeLessThan(2);
    // Of the first of them: those who come later may be left out of the log.
    expect(notes.of('connection refused').find(({ code }) => code === 'BUSY')).toMatchObject({
      why: expect.stringMatching(/the tenant sessions-\d+ may have 3 sessions/),
    });
    const [other, opened] = await TenantProcess.start(host.invite('steady').url, 'sessions');
    running.push(other);
    // One of its three is the steady program's.
    expect(opened).toMatch(/^ready 2 /);
  }, 120_000);

  it('uploads more than its contents may take continues as before, and the contents stay within their limit', async () => {
    const { ratio, tenant } = await slowdown('uploads', { most: 2 });
    const folder = tenantFolder(tenant, blobs);
    const { bytes } = new ContentStore({ folder, maxBytes: 0 }).summary();
    expect(bytes).toBeLessThanOrEqual(LIMITS.blobs);
    // A quarter is for what its programs compile.
    expect(bytes).toBeGreaterThan(LIMITS.blobs * (3 / 8));
    expect(ratio).toBeLessThan(2);
  }, 120_000);

  it('leaves as many replies at the host as it may continues as before', async () => {
    const { ratio } = await slowdown('flight', { most: 2, stopped: true });
    expect(ratio).toBeLessThan(2);
  }, 120_000);

  it('keeps the GPU busy waits only for its turns', async () => {
    const { ratio } = await slowdown('gpu', { most: 8 });
    expect(ratio).toBeLessThan(8);
  }, 120_000);

  it('submits endless work continues beside it, however long that runs', async () => {
    const { ratio } = await slowdown('endless', { most: 8 });
    expect(ratio).toBeLessThan(8);
  }, 120_000);

  it('keeps the GPU busy from three programs gets half of its time with one', async () => {
    const start = async (tenant: string) => {
      const [process] = await TenantProcess.start(host.invite(tenant).url, 'gpu');
      running.push(process);
      return process;
    };
    const one = await start('one');
    const three = [await start('three'), await start('three'), await start('three')];
    const counts = () => Promise.all([one, ...three].map((each) => each.ask()));
    /** The share of the one in the GPU's work of eight seconds. */
    const shareOfOne = async () => {
      const before = await counts();
      await new Promise((resolve) => setTimeout(resolve, 8000));
      const after = await counts();
      const [own, ...others] = after.map((count, index) => count - (before[index] as number)) as [number];
      return own / (own + others.reduce((sum: number, each) => sum + each, 0));
    };
    // Without turns it has a fourth.
    const isHalf = (share: number) => share > 0.35 && share < 0.65;
    const shares = [await shareOfOne()];
    // Something else may have kept the programs of one side from the machine's cores.
    while (shares.length < 4 && !shares.some(isHalf)) shares.push(await shareOfOne());
    const percent = shares.map((share) => `${(100 * share).toFixed(0)}%`).join();
    console.log(`one program beside three of another tenant: ${percent} of the GPU's work`);
    expect(shares.filter(isHalf)).not.toEqual([]);
  }, 120_000);
});
