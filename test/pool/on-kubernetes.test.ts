// Programs, commands and jobs whose pool is of a real Kubernetes that this machine starts for the test.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { KubernetesCluster, whyNoCluster } from '../support/engines/kubernetes-cluster.js';
import { JobSite } from '../support/jobs/job-site.js';
import { InferenceServer } from '../support/pools/inference-server.js';
import { PoolFolder } from '../support/pools/pool-folder.js';
import { book, PortalProcess, past } from '../support/pools/portal-process.js';
import { REPOSITORY } from '../support/repository.js';

const RIGHT = '3 6 9 12';
const MINUTES = 5 * 60_000;

// A cluster may take long to begin a container.
vi.setConfig({ testTimeout: MINUTES, hookTimeout: MINUTES });

describe.skipIf(whyNoCluster !== undefined)(
  `on a Kubernetes${whyNoCluster ? ` (${whyNoCluster})` : ''}`,
  () => {
    let cluster: KubernetesCluster;
    beforeAll(async () => {
      cluster = await KubernetesCluster.start();
    });
    afterAll(() => cluster?.close());

    it('a program gets a Pod with its first request, gives it back, and gets another', async () => {
      const pool = new PoolFolder(cluster.pool('idle: 1\ngpu: { adapter: software, GPU }'), {
        KUBECONFIG: cluster.kubeconfig,
      });
      const program = pool.program();
      expect(await program.tell('compute')).toBe(RIGHT);
      const [host] = await pool.hosts();
      expect(host).toMatchObject({ term: 1, status: { phase: 'running' } });
      const { token } = JSON.parse(pool.journal().get('1.1.claim') ?? '');
      const shown = cluster.kubectl('get', 'pods,leases,events', '-o', 'yaml');
      expect(shown).toContain('--token-sha256');
      expect(shown + cluster.kubectl('logs', host?.id ?? '')).not.toContain(token);
      await program.tell('drop');
      await expect.poll(() => pool.hosts(), { timeout: MINUTES, interval: 500 }).toEqual([]);
      expect(await program.tell('compute')).toBe(RIGHT);
      expect(await pool.hosts()).toMatchObject([{ term: 2 }]);
      expect((await pool.farlight('pool', 'down', '--all')).stdout).toBe('ended 1 host\n');
      const left = () => cluster.kubectl('get', 'pods,leases', '-o', 'name');
      await expect.poll(left, { timeout: MINUTES, interval: 500 }).toBe('');
      await pool.close();
    });

    it('a portal has Pods started for two tenants, tells their reasons, and an inference server runs on one', async () => {
      const yaml = cluster.pool('max: 2\nidle: 1\nlease: 30\nsessions: 1\ngpu: { adapter: software, GPU }');
      const pool = new PoolFolder(yaml, { KUBECONFIG: cluster.kubeconfig });
      let portal = await PortalProcess.start(pool, '--listen', 'https://127.0.0.1:0');
      const { port } = new URL(portal.url);
      try {
        const [alice, bob] = [pool.addToken('alice'), pool.addToken('bob')];
        const starting = InferenceServer.start(pool, portal.address(alice));
        const other = portal.client(bob);
        const heard = new Set<string>();
        const asked = await book(other, 'test', { seconds: 3600 });
        const given = await past(other, asked, 'waiting', (why) => heard.add(why));
        expect([...heard].join('\n')).toMatch(/^(queued|starting): /m);
        const program = pool.program(given.addresses[0]);
        expect(await program.tell('compute')).toBe(RIGHT);
        await program.tell('close');
        const server = await starting;
        expect(await server.negated([1, 2, 3, 4])).toEqual([-1, -2, -3, -4]);
        const { pools } = await portal.view(bob);
        expect(pools[0]?.hosts.map(({ phase }) => phase)).toEqual(['ready', 'ready']);
        const shown = cluster.kubectl('get', 'pods,leases,events', '-o', 'yaml') + portal.log;
        for (const secret of [alice, bob, /flt_[^@]+/.exec(given.addresses[0] ?? '')?.[0] ?? 'flt_'])
          expect(shown).not.toContain(secret);
        // The Pods of a portal that is killed stay, and it goes on with them.
        await portal.kill();
        portal = await PortalProcess.start(pool, '--listen', `https://127.0.0.1:${port}`);
        expect(await server.negated([5, 6, 7, 8])).toEqual([-5, -6, -7, -8]);
        await expect.poll(async () => (await portal.view(alice)).pools[0]?.bookings.length).toBe(1);
        expect(await server.end()).toBe(0);
        await other.ask('DELETE', `/v1/bookings/${given.id}`);
        other.close();
        await expect.poll(() => pool.hosts(), { timeout: MINUTES, interval: 500 }).toEqual([]);
      } finally {
        await portal.kill();
        await pool.close();
      }
    });

    it('commands of both sides run in Pods, which see the same files', async () => {
      const pool = new PoolFolder('', { KUBECONFIG: cluster.kubeconfig });
      const mount = join(pool.folder, 'shared');
      mkdirSync(mount);
      writeFileSync(join(pool.folder, 'input'), 'from here');
      writeFileSync(
        pool.file,
        cluster.pool(`files: { mount: ${mount}, replicate: [input] }\ncpu: { GPU }\ngpu: { GPU }`),
      );
      const up = await pool.farlight('pool', 'up', pool.file, '--gpu');
      expect(up.code, up.stderr).toBe(0);
      const { stdout, stderr, code } = await pool.start(
        ...['pool', 'run', pool.file, '--', 'sh', '-c', 'cat input; echo made > output; exit 7'],
      ).done;
      expect({ stdout, stderr, code }).toEqual({ stdout: 'from here', stderr: '', code: 7 });
      expect(existsSync(join(mount, 'test/output'))).toBe(true);
      expect((await pool.farlight('pool', 'down', pool.file)).code).toBe(0);
      await pool.close();
    });

    it('a job of a template that is shipped runs in a Pod, and its program gets a GPU host in another one', async () => {
      const before = process.env.KUBECONFIG;
      process.env.KUBECONFIG = cluster.kubeconfig;
      const site = new JobSite({});
      try {
        const { XDG_CONFIG_HOME = '', XDG_STATE_HOME = '' } = process.env;
        // A program in a Pod needs these variables to have others started.
        const cpu = `{ environment: { XDG_CONFIG_HOME: ${XDG_CONFIG_HOME}, XDG_STATE_HOME: ${XDG_STATE_HOME}, PATH: "/usr/bin:/bin", KUBECONFIG: ${cluster.kubeconfig} }, GPU }`;
        const asks = [XDG_CONFIG_HOME, XDG_STATE_HOME, cluster.kubeconfig];
        const yaml = cluster.pool(`cpu: ${cpu}\ngpu: { adapter: software, GPU }\n`);
        site.pool('site', yaml.replace('"/etc"', ['/etc', ...asks].map((path) => `"${path}"`).join(', ')));
        const program = join(REPOSITORY, 'examples/wgsl');
        const request = site.file(
          'wgsl.yaml',
          `kind: inference\nprogram: ${program}\nboot: wgsl.mjs\npool: site\n`,
        );
        const { record, report, log } = await site.run(request);
        expect([report.phase, log]).toEqual(['succeeded', expect.stringContaining('sha256 ')]);
        const names = cluster.kubectl('get', 'leases', '-o', 'yaml');
        expect(names).toContain(`farlight-job.${record.id}.main.0`);
        expect(names).toContain('farlight.site.');
      } finally {
        await site.close();
        if (before === undefined) delete process.env.KUBECONFIG;
        else process.env.KUBECONFIG = before;
      }
    });
  },
);
