// Programs, commands and a portal whose pool is of a real Slurm that this machine starts for the test.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MooseFsSite, whyNoMooseFs } from '../support/engines/moosefs-site.js';
import { SlurmSite, whyNoRest, whyNoSlurm } from '../support/engines/slurm-site.js';
import { PoolFolder } from '../support/pools/pool-folder.js';
import { book, PortalProcess, past } from '../support/pools/portal-process.js';
import { CLI } from '../support/repository.js';

const RIGHT = '3 6 9 12';
const ZEROS = '0 0 0 0';

describe.skipIf(whyNoSlurm !== undefined)(
  `on a Slurm${whyNoSlurm ? ` (${whyNoSlurm})` : ''}`,
  { timeout: 240_000 },
  () => {
    let files: MooseFsSite | undefined;
    let site: SlurmSite;
    let pool: PoolFolder;
    beforeAll(async () => {
      files = whyNoMooseFs ? undefined : await MooseFsSite.start();
      site = await SlurmSite.start({ mounts: files?.mounts });
    }, 120_000);
    afterEach(() => pool?.close(), 60_000);
    afterAll(async () => {
      await site?.close();
      await files?.close();
    });

    /** Until all nodes are powered down. */
    const poweredDown = () =>
      expect.poll(() => site.nodes(), { timeout: 60_000, interval: 200 }).toMatch(/^(idle~\s*)+$/);

    it('a program has a node powered up by its first request, and powered down while its device does nothing', async () => {
      pool = new PoolFolder(
        'engine: slurm\npark: 0.5\nidle: 0.2\ngpu: { adapter: software, limits: { gpus: 1 } }',
      );
      expect(site.nodes()).toMatch(/~/);
      const program = pool.program();
      expect(await program.tell('compute')).toBe(RIGHT);
      const [host] = await pool.hosts();
      expect(host).toMatchObject({ term: 1, status: { phase: 'running' } });
      expect(site.describe()).toContain('farlight-term-1');
      const { token } = JSON.parse(pool.journal().get('1.1.claim') ?? '');
      expect(site.describe() + site.script(host?.id ?? '')).not.toContain(token);
      await pool.gone();
      await poweredDown();
      expect(await program.tell('again')).toBe('9 18 27 36');
      expect(await pool.hosts()).toMatchObject([{ term: 2 }]);
      // Its host may have been given back meanwhile.
      expect((await pool.farlight('pool', 'down', '--all')).stdout).toMatch(/^ended [01] hosts?\n$/);
      expect(await pool.hosts()).toEqual([]);
    });

    it('a program leaves a host that ends by itself where it is killed', async () => {
      pool = new PoolFolder('engine: slurm\nlease: 2\nidle: 600\ngpu: { adapter: "null" }');
      const program = pool.program();
      await program.tell('compute');
      program.child.kill('SIGKILL');
      await pool.gone();
    });

    it.skipIf(whyNoRest !== undefined)(
      `a program gets its host by slurmrestd where Slurm's commands find no site${whyNoRest ? ` (${whyNoRest})` : ''}`,
      async () => {
        const { port, version } = await site.rest();
        const SLURM_JWT = site.token().replace('SLURM_JWT=', '');
        const yaml = `engine: slurm\nslurm: { rest: "${port}", version: ${version} }\ngpu: { adapter: "null" }`;
        pool = new PoolFolder(yaml, { SLURM_JWT, SLURM_CONF: undefined });
        const program = pool.program();
        expect(await program.tell('compute')).toBe(ZEROS);
        const [host] = await pool.hosts();
        expect(host).toMatchObject({ term: 1, status: { phase: 'running' } });
        const shown = [site.describe(), site.script(host?.id ?? ''), ...pool.journal().values()].join('\n');
        expect(shown).toContain('farlight-term-1');
        expect(shown).not.toContain(SLURM_JWT);
        expect((await pool.farlight('pool', 'down', '--all')).stdout).toBe('ended 1 host\n');
      },
    );

    it('a portal has nodes powered up for its tenants’ programs, tells Slurm’s reasons, and has the nodes powered down again', async () => {
      pool = new PoolFolder(
        'engine: slurm\nmax: 2\nidle: 0.2\nlease: 10\nsessions: 1\ngpu: { adapter: "null", limits: { gpus: 1 } }',
      );
      const portal = await PortalProcess.start(pool, '--listen', 'https://127.0.0.1:0');
      try {
        const [alice, bob] = [pool.addToken('alice'), pool.addToken('bob')];
        const program = pool.program(portal.address(alice));
        const computed = program.tell('compute');
        const heard = new Set<string>();
        const other = portal.client(bob);
        const booked = await book(other, 'test', { seconds: 3600 });
        const given = await past(other, booked, 'waiting', (why) => heard.add(why));
        expect(await computed).toBe(ZEROS);
        expect([...heard].join('\n')).toMatch(/^(queued|starting): /m);
        const { pools } = await portal.view(bob);
        expect(pools[0]?.hosts.map(({ phase, node }) => [phase, node]).sort()).toEqual([
          ['ready', 'gpu1'],
          ['ready', 'gpu2'],
        ]);
        // The address of its node is that by which a program reaches it. Newer Slurms know it from the node's registration.
        const [address = ''] = given.addresses;
        expect(address).toMatch(/^grpcs:\/\/flt_.*@127\.(78\.0\.1[12]|0\.0\.1):\d+\?ca=/);
        expect(await pool.program(address).tell('compute')).toBe(ZEROS);
        await program.tell('drop');
        await other.ask('DELETE', `/v1/bookings/${given.id}`);
        other.close();
        await pool.gone();
        await poweredDown();
      } finally {
        await portal.kill();
      }
    });

    it.skipIf(whyNoMooseFs !== undefined)(
      `both sides of a pool write, read, change and delete files of a MooseFS at once, and lose none with a server of it${whyNoMooseFs ? ` (${whyNoMooseFs})` : ''}`,
      async () => {
        const [mount = '', other = ''] = files?.mounts ?? [];
        pool = new PoolFolder('engine: slurm');
        // Each side writes files, then reads, changes and deletes those of the other, while a server is lost.
        const side = (own: string, theirs: string) => `
        set -e; hostname
        for n in $(seq $(cat count)); do echo ${own} $n > ${own}.$n; done
        for n in $(seq $(cat count)); do
          until [ "$(cat ${theirs}.$n 2>/dev/null)" = "${theirs} $n" ]; do sleep 0.1; done
          if [ $((n % 2)) = 0 ]; then echo changed by ${own} >> ${theirs}.$n; else rm ${theirs}.$n; fi
          [ $n != 10 ] || touch ${own}.tenth
        done
      `;
        writeFileSync(join(pool.folder, 'count'), '40');
        writeFileSync(join(pool.folder, 'gpu.sh'), side('gpu', 'cpu'));
        writeFileSync(join(pool.folder, 'cpu.sh'), side('cpu', 'gpu'));
        const environment = `{ XDG_STATE_HOME: ${join(pool.folder, 'state')} }`;
        writeFileSync(
          pool.file,
          `engine: slurm
idle: 1
files: { mount: ${mount}, replicate: [count, gpu.sh, cpu.sh] }
cpu: { limits: { partition: first }, environment: ${environment} }
gpu: { limits: { partition: second, gpus: 1 } }
`,
        );
        const script = `'${process.execPath}' '${CLI}' offload -- sh gpu.sh & sh cpu.sh && wait $! && ls | sort`;
        const running = pool.start('pool', 'run', pool.file, '--', 'sh', '-c', script);
        const workspace = join(mount, 'test');
        await expect
          .poll(() => ['cpu.tenth', 'gpu.tenth'].every((name) => existsSync(join(workspace, name))), {
            timeout: 120_000,
          })
          .toBe(true);
        files?.loseServer();
        const { stdout, stderr, code } = await running.done;
        expect(stderr).toBe('');
        expect(code).toBe(0);
        expect(stdout.split('\n').slice(0, 2).sort()).toEqual(['gpu1', 'gpu2']);
        for (const seen of [workspace, join(other, 'test')]) {
          for (let n = 1; n <= 40; n += 1) {
            for (const [own, theirs] of [
              ['gpu', 'cpu'],
              ['cpu', 'gpu'],
            ]) {
              const path = join(seen, `${own}.${n}`);
              if (n % 2 === 1) expect(existsSync(path)).toBe(false);
              else expect(readFileSync(path, 'utf8')).toBe(`${own} ${n}\nchanged by ${theirs}\n`);
            }
          }
        }
        await pool.gone();
      },
    );
  },
);
