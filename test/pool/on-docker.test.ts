// Programs and commands whose pool is of a real Docker that this machine starts for the test.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DockerSite, whyNoDocker } from '../support/engines/docker-site.js';
import { PoolFolder } from '../support/pools/pool-folder.js';
import { CLI, REPOSITORY } from '../support/repository.js';

const RIGHT = '3 6 9 12';

describe.skipIf(whyNoDocker !== undefined)(
  `on a Docker${whyNoDocker ? ` (${whyNoDocker})` : ''}`,
  { timeout: 240_000 },
  () => {
    let site: DockerSite;
    let pool: PoolFolder;
    beforeAll(async () => {
      site = await DockerSite.start();
    }, 120_000);
    afterEach(() => pool?.close(), 60_000);
    afterAll(() => site?.close());

    it('a program gets a container with its first request, gives it back, and gets another', async () => {
      pool = new PoolFolder(site.pool('idle: 0.2\ngpu: { adapter: software, GPU }'));
      const program = pool.program();
      expect(await program.tell('compute')).toBe(RIGHT);
      const [host] = await pool.hosts();
      expect(host).toMatchObject({ term: 1, status: { phase: 'running' } });
      const { token } = JSON.parse(pool.journal().get('1.1.claim') ?? '');
      const shown = site.docker('inspect', host?.id ?? '') + site.docker('logs', host?.id ?? '');
      expect(shown).toContain('--token-sha256');
      expect(shown).not.toContain(token);
      await program.tell('drop');
      await pool.gone();
      expect(await program.tell('compute')).toBe(RIGHT);
      expect(await pool.hosts()).toMatchObject([{ term: 2 }]);
      expect((await pool.farlight('pool', 'down', '--all')).stdout).toBe('ended 1 host\n');
      expect(site.docker('ps', '--all', '--quiet')).toBe('');
    });

    it('a program is told which image is missing', async () => {
      pool = new PoolFolder(
        site.pool('gpu: { adapter: "null", GPU }').replace(/sha256:\w+/, `sha256:${'7'.repeat(64)}`),
      );
      expect(await pool.program().tell('compute')).toMatch(
        /^FarlightError: Docker has no image sha256:7+; load it/,
      );
    });

    it('a program leaves a container that ends by itself where it is killed', async () => {
      pool = new PoolFolder(site.pool('lease: 2\nidle: 600\ngpu: { adapter: "null", GPU }'));
      const program = pool.program();
      await program.tell('compute');
      program.child.kill('SIGKILL');
      await pool.gone();
    });

    it('commands of both sides run in containers, which see the same files', async () => {
      pool = new PoolFolder('');
      const mount = join(pool.folder, 'shared');
      mkdirSync(mount);
      writeFileSync(join(pool.folder, 'input'), 'from here');
      const command = JSON.stringify([process.execPath, CLI]);
      // The pool's own file and its journal too, for the program that offloads.
      const mounts = JSON.stringify([...site.mounts, '/etc', REPOSITORY, pool.folder]);
      const environment = `{ PATH: /usr/bin:/bin, HOME: ${pool.folder}, XDG_STATE_HOME: ${join(pool.folder, 'state')} }`;
      const side = `{ image: "${site.image}", command: ${command}, mounts: ${mounts}, environment: ${environment} }`;
      writeFileSync(
        pool.file,
        `engine: docker
docker: { socket: ${site.socket}, network: host }
files: { mount: ${mount}, replicate: [input] }
cpu: ${side.replace(pool.folder, `${pool.folder}", "${dirname(site.socket)}`)}
gpu: ${side}
`,
      );
      const run = (script: string) => pool.start('pool', 'run', pool.file, '--', 'sh', '-c', script).done;
      // A pool that had commands alone, and no host, leaves no container either.
      expect((await run('true')).code).toBe(0);
      expect((await pool.farlight('pool', 'down', '--all')).code).toBe(0);
      expect(site.docker('ps', '--all', '--quiet')).toBe('');
      const offloaded = `'${process.execPath}' '${CLI}' offload -- sh -c 'echo made > output; exit 7'`;
      const { stdout, stderr, code } = await run(`cat input; ${offloaded}; echo $?; cat output`);
      expect({ stdout, stderr, code }).toEqual({ stdout: 'from here7\nmade\n', stderr: '', code: 0 });
      await pool.gone();
    });
  },
);
