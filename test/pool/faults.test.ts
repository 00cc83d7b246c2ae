// Parts of pools fail at random moments while programs use them. `npm run pool-faults -- --times 50` is the long form.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { onlySilent } from '#farlight/pool/engines/engine.js';
import { DockerSite, whyNoDocker } from '../support/engines/docker-site.js';
import { KubernetesCluster, whyNoCluster } from '../support/engines/kubernetes-cluster.js';
import { SlurmSite, whyNoRest, whyNoSlurm } from '../support/engines/slurm-site.js';
import { Counts, Load } from '../support/pools/load.js';
import { PoolFolder, type PoolProgram } from '../support/pools/pool-folder.js';
import { PortalProcess } from '../support/pools/portal-process.js';

/** How often each fault happens. The suite has those of the faults once that differ most. */
const TIMES = Number(process.env.FARLIGHT_POOL_FAULTS ?? 1);
const isShort = process.env.FARLIGHT_POOL_FAULTS === undefined;
const PROGRAMS = 3;
/** Leases in seconds, and how long a host is cut off that is to lose its own, in milliseconds. */
const LEASE = isShort ? 3 : 5;
const CUT_MS = (LEASE + 2) * 1000;
const SETTINGS = `max: 2\nidle: 1\nlease: ${LEASE}`;
/** The longest pause before a fault of the short form, in milliseconds. */
const SOON_MS = 1000;
const MINUTES = 60_000;

let pool: PoolFolder;
afterEach(() => pool?.close(), 3 * MINUTES);

/**
 * Has a fault happen `TIMES` times under load, with pauses of at most so many milliseconds. All programs go on, and no host
 * is left.
 */
async function under(
  fault: (load: Load) => Promise<unknown>,
  most = 3000,
  how: ConstructorParameters<typeof Load>[2] = {},
): Promise<Load> {
  const load = new Load(pool, PROGRAMS, how);
  // The long form meets hosts that start, too.
  if (isShort) await expect.poll(() => pool.readyHosts().length, { timeout: MINUTES }).toBeGreaterThan(0);
  for (let count = 0; count < TIMES; count += 1) {
    await pause(Math.random() * (isShort ? SOON_MS : most));
    await fault(load);
  }
  await load.end();
  if (!isShort) console.log(`${expect.getState().currentTestName}: ${load.counts}`);
  expect(load.counts.overlaps).toBe(0);
  await expect.poll(() => pool.hosts(), { timeout: MINUTES, interval: 50 }).toEqual([]);
  return load;
}

/** One of the hosts that run now. */
async function aHost(): Promise<string> {
  for (;;) {
    // A scheduler may be silent for a while.
    const running = ((await pool.hosts().catch(onlySilent)) ?? []).filter(
      ({ status }) => status.phase === 'running',
    );
    const one = running[Math.floor(Math.random() * running.length)];
    if (one) return one.id;
  }
}

describe('while a pool of this machine is used, nothing is left behind and every program goes on', () => {
  const processOf = (id: string, name: 'process' | 'runner'): number =>
    JSON.parse(readFileSync(join(pool.state, 'jobs', id, name), 'utf8')).pid;
  const signal = (pid: number, name: NodeJS.Signals) => {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended by itself.
    }
  };

  it.each(
    (
      [
        ['where hosts are killed', async () => signal(-processOf(await aHost(), 'process'), 'SIGKILL')],
        [
          'where hosts are cut off, and are back after their leases',
          async () => {
            const pid = processOf(await aHost(), 'process');
            signal(-pid, 'SIGSTOP');
            await pause(CUT_MS);
            signal(-pid, 'SIGCONT');
          },
        ],
        // In the long form alone, as all that follow.
        [
          'where the processes that look after jobs are killed',
          async () => signal(processOf(await aHost(), 'runner'), 'SIGKILL'),
        ],
        ['where programs are killed', async (load: Load) => load.killOne()],
        [
          'where programs are stopped, and go on after their leases',
          async (load: Load) => {
            const { child } = load.any();
            child.kill('SIGSTOP');
            await pause(CUT_MS);
            child.kill('SIGCONT');
          },
        ],
      ] as const
    ).slice(0, isShort ? 2 : undefined),
  )(
    '%s',
    async (_, fault) => {
      pool = new PoolFolder(`engine: local\n${SETTINGS}\ngpu: { adapter: "null" }`);
      await under(fault);
    },
    30 * MINUTES,
  );
});

// In the long form alone.
describe.skipIf(isShort)('while a portal shares a pool of this machine, nothing is left behind', () => {
  it(
    'every program goes on where the portal is killed and started again',
    async () => {
      pool = new PoolFolder(`engine: local\n${SETTINGS}\ngpu: { adapter: "null" }`);
      let portal = await PortalProcess.start(pool);
      const { port } = new URL(portal.url);
      try {
        const killed = async () => {
          await portal.kill();
          await pause(Math.random() * 1000);
          portal = await PortalProcess.start(pool, '--listen', `127.0.0.1:${port}`);
        };
        await under(killed, 3000, { address: portal.address() });
      } finally {
        await portal.kill();
      }
    },
    30 * MINUTES,
  );
});

// In the long form alone.
describe.skipIf(isShort)('while a pool has no more hosts to give', () => {
  it(
    'every program is told after its wait that all are in use, and goes on when one is free',
    async () => {
      pool = new PoolFolder('engine: local\nmax: 1\nsessions: 1\nidle: 1\nwait: 4\ngpu: { adapter: "null" }');
      const programs = Array.from({ length: PROGRAMS }, () => pool.program());
      const counts = new Counts();
      for (let count = 0; count < TIMES; count += 1) {
        const [holder, ...others] = programs as [PoolProgram, ...PoolProgram[]];
        // The one before it gives its host back a second after its last use.
        for (let answer = 'Error: '; /Error: /.test(answer); ) {
          answer = await holder.tell('compute');
          counts.add(answer);
        }
        await pause(Math.random() * 1000);
        for (const answer of await Promise.all(others.map((other) => other.tell('compute')))) {
          counts.add(answer);
          expect(answer).toMatch(/^FarlightError: the pool test had no host within 4 seconds \(queued: /);
        }
        await holder.tell('drop');
        programs.push(...programs.splice(0, 1));
      }
      console.log(`${expect.getState().currentTestName}: ${counts}`);
      for (const program of programs) await program.end();
      await expect.poll(() => pool.hosts(), { timeout: MINUTES, interval: 50 }).toEqual([]);
    },
    30 * MINUTES,
  );
});

describe.skipIf(whyNoDocker !== undefined)(
  `while a Docker is used, nothing is left behind${whyNoDocker ? ` (${whyNoDocker})` : ''}`,
  () => {
    let site: DockerSite;
    beforeAll(async () => {
      site = await DockerSite.start();
    });
    afterAll(() => site?.close());

    it.each(
      (
        [
          ['every program goes on where containers are killed', async () => tried('kill', await aHost())],
          // In the long form alone, as all that follow.
          // The daemon's end is the end of all hosts.
          ['every program goes on where the daemon is started again', () => site.restart(), 10_000],
          [
            'every program goes on where containers are cut off, and are back after their leases',
            async () => {
              const id = await aHost();
              tried('pause', id);
              await pause(CUT_MS);
              tried('unpause', id);
            },
          ],
        ] as const
      ).slice(0, isShort ? 1 : undefined),
    )(
      '%s',
      async (_, fault, most: number = 5000) => {
        pool = new PoolFolder(site.pool(`${SETTINGS}\ngpu: { adapter: "null", GPU }`));
        await under(fault, most);
      },
      30 * MINUTES,
    );

    it.each(
      (
        [
          [
            'GPUs are denied',
            /null",/,
            'null", limits: { gpus: 1 },',
            /^FarlightError: the pool test got no host: Docker cannot start it: .*device driver/,
          ],
          // In the long form alone.
          [
            'image is missing',
            /sha256:\w+/,
            `sha256:${'7'.repeat(64)}`,
            /^FarlightError: Docker has no image sha256:7+; load it/,
          ],
        ] as const
      ).slice(0, isShort ? 1 : undefined),
    )(
      'every program is told that its %s',
      async (_, what, instead, reason) => {
        pool = new PoolFolder(site.pool(`${SETTINGS}\ngpu: { adapter: "null", GPU }`).replace(what, instead));
        const program = pool.program();
        for (let count = 0; count < TIMES; count += 1) expect(await program.tell('compute')).toMatch(reason);
        expect(await pool.hosts()).toEqual([]);
      },
      30 * MINUTES,
    );

    /** The container may have ended by itself. */
    function tried(what: string, id: string): void {
      try {
        site.docker(what, id);
      } catch {
        // It has.
      }
    }
  },
);

describe.skipIf(whyNoSlurm !== undefined)(
  `while a Slurm is used, nothing is left behind${whyNoSlurm ? ` (${whyNoSlurm})` : ''}`,
  () => {
    let site: SlurmSite;
    beforeAll(async () => {
      site = await SlurmSite.start({ staysUp: isShort });
    });
    afterAll(() => site?.close());

    const yaml = `engine: slurm\n${SETTINGS}\ngpu: { adapter: "null", limits: { gpus: 1 } }`;

    it.each(
      (
        [
          ['the controller is started again', () => site.restart()],
          // In the long form alone, as all that follow.
          ['hosts are killed', async () => site.signal(await aHost(), 'SIGKILL')],
          [
            'hosts are cut off, and are back after their leases',
            async () => {
              const id = await aHost();
              site.signal(id, 'SIGSTOP');
              await pause(CUT_MS);
              site.signal(id, 'SIGCONT');
            },
          ],
        ] as const
      ).slice(0, isShort ? 1 : undefined),
    )(
      'every program goes on where %s',
      async (_, fault) => {
        pool = new PoolFolder(yaml);
        await under(fault);
      },
      30 * MINUTES,
    );

    // In the long form alone.
    it.skipIf(isShort || whyNoRest !== undefined)(
      'every program that asks slurmrestd goes on where the controller is started again',
      async () => {
        const { socket, version } = await site.rest();
        pool = new PoolFolder(`${yaml}\nslurm: { rest: "${socket}", version: ${version} }`);
        await under(() => site.restart());
      },
      30 * MINUTES,
    );

    it(
      'every program is told that its allocation is denied',
      async () => {
        pool = new PoolFolder(yaml.replace('gpus: 1', 'partition: none'));
        const program = pool.program();
        for (let count = 0; count < TIMES; count += 1)
          expect(await program.tell('compute')).toMatch(
            /^FarlightError: Slurm refuses the job: .*partition/i,
          );
        expect(await pool.hosts()).toEqual([]);
      },
      30 * MINUTES,
    );
  },
);

describe.skipIf(whyNoCluster !== undefined)(
  `while a Kubernetes is used, nothing is left behind${whyNoCluster ? ` (${whyNoCluster})` : ''}`,
  () => {
    let site: KubernetesCluster;
    beforeAll(async () => {
      site = await KubernetesCluster.start();
    }, 5 * MINUTES);
    afterAll(() => site?.close());
    const yaml = () => site.pool(`${SETTINGS}\ngpu: { adapter: "null", GPU }`);

    it.each([
      ['hosts are killed', async () => site.container('kill', await aHost())],
      [
        'Pods are deleted',
        async () => site.kubectl('delete', 'pod', await aHost(), '--wait=false', '--ignore-not-found'),
      ],
      [
        'hosts are cut off, and are back after their leases',
        async () => {
          const pod = await aHost();
          site.container('pause', pod);
          await pause(CUT_MS);
          site.container('unpause', pod);
        },
      ],
      ['the API server is killed and started again', () => site.restart(), 10_000],
      [
        'hosts are killed and the quota is full for a while',
        async () => {
          const host = await aHost();
          site.kubectl('create', 'quota', 'full', '--hard=pods=0');
          site.container('kill', host);
          await pause(CUT_MS);
          site.kubectl('delete', 'quota', 'full');
        },
      ],
    ] as const)(
      'every program goes on where %s',
      async (_, fault, most: number = 5000) => {
        pool = new PoolFolder(yaml(), { KUBECONFIG: site.kubeconfig });
        await under(fault, most);
      },
      60 * MINUTES,
    );

    it(
      'every program is told that its image is missing',
      async () => {
        const missing = yaml()
          .replace(/@sha256:\w+/, `@sha256:${'7'.repeat(64)}`)
          .replace(/max: \d/, `max: ${PROGRAMS}`);
        pool = new PoolFolder(missing, { KUBECONFIG: site.kubeconfig });
        // The kubelet takes its time to say so, for one Pod as for all.
        const programs = Array.from({ length: PROGRAMS }, () => pool.program());
        for (let left = TIMES; left > 0; left -= PROGRAMS)
          for (const answer of await Promise.all(programs.slice(0, left).map((each) => each.tell('compute'))))
            expect(answer).toMatch(
              /^FarlightError: the pool test got no host: .*image.*\(ImagePullBackOff\)/,
            );
        await expect.poll(() => pool.hosts(), { timeout: MINUTES, interval: 1000 }).toEqual([]);
      },
      60 * MINUTES,
    );
  },
);
