import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { secureHosts } from '../support/hosts/secure-host.js';
import { TenantProcess } from '../support/programs/tenant-process.js';

const MIB = 2 ** 20;
const LIMITS = { sessions: 3, gpuMemory: 64 * MIB, inFlight: 24 * MIB, contents: 8 * MIB };
const STEPS = 40;

const hosts = secureHosts();
const notes = memoryLog();
const running: TenantProcess[] = [];
let host: Awaited<ReturnType<typeof hosts.start>>;
let contents: string;
/** The other tenant's program, which must notice nothing. */
let steady: TenantProcess;

beforeAll(async () => {
  contents = hosts.folder();
  host = await hosts.start({
    adapter: 'software',
    executorEntry: undefined,
    resumeMs: 300,
    tenantLimits: LIMITS,
    contents: { root: contents },
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
 * Has the steady tenant make its steps beside a program of another tenant, which is at its limit for as long as that
 * takes. The other program may be `stopped` meanwhile. Resolves to what the other program said, and to its tenant.
 */
async function goOnBeside(what: string, { stopped = false, mayEnd = false } = {}) {
  const [program, said] = await TenantProcess.start(host.invite(what).url, what);
  running.push(program);
  if (stopped) program.child.kill('SIGSTOP');
  await steady.ask(STEPS);
  if (!mayEnd) expect([program.child.exitCode, program.child.signalCode]).toEqual([null, null]);
  return { said, tenant: what };
}

describe('a tenant beside one that', () => {
  it('has all its GPU memory continues, and the other is out of memory', async () => {
    const { said } = await goOnBeside('memory');
    expect(said).toMatch(/^ready 8 .*8388608 bytes are more than is left of the 67108864 bytes/);
  }, 120_000);

  it('has all its sessions opens another one, and the other gets BUSY', async () => {
    const { said, tenant } = await goOnBeside('sessions');
    expect(said).toContain(`ready 3 BUSY the tenant ${tenant} may have 3 open sessions`);
    // Only of the first one: the log may leave out later ones.
    expect(notes.of('connection refused').find(({ code }) => code === 'BUSY')).toMatchObject({
      why: expect.stringMatching(/the tenant sessions may have 3 open sessions/),
    });
    const [other, opened] = await TenantProcess.start(host.invite('steady').url, 'sessions');
    running.push(other);
    // One of its three sessions is the steady program's.
    expect(opened).toMatch(/^ready 2 /);
  }, 120_000);

  it('uploads more than its contents may take continues, and the contents stay within their limit', async () => {
    const { tenant } = await goOnBeside('uploads');
    const folder = tenantFolder(tenant, contents);
    const { bytes } = new ContentStore({ folder, maxBytes: 0 }).summary();
    expect(bytes).toBeLessThanOrEqual(LIMITS.contents);
    // A quarter is for compiled programs.
    expect(bytes).toBeGreaterThan(LIMITS.contents * (3 / 8));
  }, 120_000);

  it('leaves as many replies at the host as it may continues', async () => {
    await goOnBeside('flight', { stopped: true });
  }, 120_000);

  it('keeps the GPU busy continues', async () => {
    await goOnBeside('gpu');
  }, 120_000);

  it('submits endless work continues beside it, however long that runs', async () => {
    // The limit of its GPU seconds may end it meanwhile.
    await goOnBeside('endless', { mayEnd: true });
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
    /** One program's share of the GPU's work in three seconds. */
    const shareOfOne = async () => {
      const before = await counts();
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const after = await counts();
      const [own, ...others] = after.map((count, index) => count - (before[index] as number)) as [number];
      return own / (own + others.reduce((sum: number, each) => sum + each, 0));
    };
    // Without turns it gets a quarter.
    const isHalf = (share: number) => share > 0.35 && share < 0.65;
    const shares = [await shareOfOne()];
    // Other processes may have kept one side's programs from the machine's cores.
    while (shares.length < 12 && !shares.some(isHalf)) shares.push(await shareOfOne());
    const percent = shares.map((share) => `${(100 * share).toFixed(0)}%`).join();
    console.log(`one program beside three of another tenant: ${percent} of the GPU's work`);
    expect(shares.filter(isHalf)).not.toEqual([]);
  }, 120_000);
});
