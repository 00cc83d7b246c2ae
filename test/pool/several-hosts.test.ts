import { writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { PoolFolder } from '../support/pools/pool-folder.js';

let pool: PoolFolder;
afterEach(() => pool?.close());

const FAST = 'gpu: { adapter: "null" }';
const slots = async () => (await pool.hosts()).map(({ name }) => name.at(-1)).sort();

/** A program that allocates hosts, says how many it has, and waits until it is told to release them. */
const PROGRAM = `
  import { allocateHosts, create, close } from 'farlight';
  const { addresses, release } = await allocateHosts(process.argv.slice(1));
  const gpus = addresses.map((host) => create({ host }));
  for (const gpu of gpus) await (await gpu.requestAdapter()).requestDevice();
  console.log(addresses.length, new Set(addresses).size);
  await new Promise((resolve) => process.stdin.once('data', resolve));
  for (const gpu of gpus) close(gpu);
  await release();
  process.exit();
`;

describe('several hosts of a pool', () => {
  it('are allocated together, each another one, and given back together', async () => {
    pool = new PoolFolder(`max: 3\nidle: 600\n${FAST}`);
    const program = pool.node(PROGRAM, `${pool.address}?hosts=1`, pool.address);
    await expect.poll(() => program.printed, { timeout: 120_000 }).toMatchObject({ stdout: '2 2\n' });
    expect(await slots()).toEqual(['1', '2']);
    program.child.stdin.write('\n');
    await program.done;
    await expect.poll(slots, { timeout: 30_000, interval: 50 }).toEqual([]);
  }, 180_000);

  it('are allocated all or none: two programs that need both get them one after the other', async () => {
    pool = new PoolFolder(`max: 2\nsessions: 1\n${FAST}`);
    const programs = [0, 1].map(() => pool.node(PROGRAM, `${pool.address}?hosts=2`));
    const done = () => programs.filter(({ printed }) => printed.stdout !== '').length;
    await expect.poll(done, { timeout: 120_000 }).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(done()).toBe(1);
    programs.find(({ printed }) => printed.stdout !== '')?.child.stdin.write('\n');
    await expect.poll(done, { timeout: 120_000 }).toBe(2);
    expect(programs.map(({ printed }) => printed.stdout)).toEqual(['2 2\n', '2 2\n']);
  }, 240_000);

  it('are refused where the pool never has as many, and where a session has use for one alone', async () => {
    pool = new PoolFolder(`max: 2\n${FAST}`);
    const many = await pool.node(PROGRAM, `${pool.address}?hosts=3`).done;
    expect(many.stderr).toMatch(
      /the pool test has at most 2 hosts, and the program asks for 3; raise the pool's max/,
    );
    const session = `
      import { create } from 'farlight';
      await create({ host: process.argv[1] }).requestAdapter().catch((error) => console.log(error.message));
    `;
    const one = await pool.node(session, `${pool.address}?hosts=2`).done;
    expect(one.stdout).toMatch(/names 2 hosts, and this program asks for one GPU; leave hosts=2 out/);
    expect(await slots()).toEqual([]);
  }, 60_000);

  it('serve farlight doctor and farlight replay, which give theirs back', async () => {
    // A lease so long that no host ends because it lapses.
    pool = new PoolFolder(`max: 1\nidle: 0.2\nlease: 600\n${FAST}`);
    const givenBack = () => expect.poll(slots, { timeout: 30_000, interval: 50 }).toEqual([]);
    const doctor = await pool.farlight('doctor', '--host', pool.address, '--json');
    expect(JSON.parse(doctor.stdout)).toMatchObject({ healthy: true, host: { url: pool.address } });
    expect(doctor.stdout).toContain(`farlight run --pool ${pool.address} -- node app.mjs`);
    await givenBack();
    const file = `${pool.folder}/recording`;
    const script = `const a = await navigator.gpu.requestAdapter(); const d = await a.requestDevice();
      d.queue.submit([]); await d.queue.onSubmittedWorkDone(); d.destroy();
      console.log('done');
      process.stdin.once('data', () => process.exit());`;
    writeFileSync(`${pool.folder}/program.mjs`, script);
    const args = ['--pool', pool.file, '--record', file, '--', 'node', `${pool.folder}/program.mjs`];
    const run = pool.start('run', ...args);
    await expect.poll(() => run.printed.stdout, { timeout: 120_000 }).toBe('done\n');
    await givenBack();
    run.child.stdin.write('\n');
    expect(await run.done).toMatchObject({ code: 0 });
    const replay = await pool.farlight('replay', file, '--host', pool.address);
    expect(replay.stdout).toMatch(/the same, byte for byte/);
    await givenBack();
  }, 240_000);
});
