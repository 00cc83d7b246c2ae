import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addImage, storedImages } from '#farlight/jobs/images/images.js';
import { JobRecord, nextId } from '#farlight/jobs/record/record.js';
import { JobDriver } from '#farlight/jobs/run/drive.js';
import { awaitJob, cancelJob, deleteJob, lookAtJob, retryJob } from '#farlight/jobs/run/jobs.js';
import { planFile, renderPlan } from '#farlight/jobs/run/plan.js';
import { addTemplate, readTemplate, storedTemplates } from '#farlight/jobs/templates/template-store.js';
import { packageVersion } from '#farlight/link/machine/package-version.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { onnxBytes, simple } from '../infer/lanes/models.js';
import { DockerSite, whyNoDocker } from '../support/engines/docker-site.js';
import { SlurmSite, whyNoSlurm } from '../support/engines/slurm-site.js';
import { runFarlight } from '../support/hosts/farlight-command.js';
import { JobSite, SCRIPT_TEMPLATE } from '../support/jobs/job-site.js';
import { CLI, REPOSITORY } from '../support/repository.js';

const MINUTES = 3 * 60_000;
const EXAMPLES = join(REPOSITORY, 'examples/jobs');

let site: JobSite;
beforeAll(() => {
  // The first pool of the name local; and one whose GPU executes nothing.
  site = new JobSite({ local: 'gpu: { adapter: software }', fast: 'gpu: { adapter: "null" }' });
  addTemplate(readTemplate(site.file('script.yaml.template', SCRIPT_TEMPLATE)));
});
afterAll(() => site.close(), MINUTES);

/** An example's request with another pool. */
function inPool(example: string, pool: string): string {
  const text = readFileSync(join(EXAMPLES, `${example}.yaml`), 'utf8');
  const moved = text.replace(
    /^(program|dataset): (.+)$/gm,
    (_, key, path) => `${key}: ${join(EXAMPLES, path)}`,
  );
  const own = moved.includes('program:') ? moved : `${moved}program: ${EXAMPLES}\n`;
  return site.file(`${example}.yaml`, `${own}pool: ${pool}\n`);
}

describe('the jobs of the examples', () => {
  /** These fail where the GPU does not compute. The pictures and weights of the others have tests of their own (test/e2e). */
  const COMPUTING = ['wgsl', 'tfjs', 'typegpu', 'jax', 'silero', 'transformers'];
  const OTHERS = ['webgpu', 'movenet', 'three', 'babylon', 'playcanvas', 'pixi', 'train'];
  const PROGRAMS = [...COMPUTING, ...OTHERS];
  /** Each is a process that computes for seconds: `npm run example-jobs` has them all. */
  const RUN = process.env.FARLIGHT_EXAMPLE_JOBS === 'all' ? PROGRAMS : ['wgsl', 'webgpu', 'train'];

  it('are all of the folder', () => {
    const names = readdirSync(EXAMPLES).flatMap((name) => /^(.+)\.yaml$/.exec(name)?.[1] ?? []);
    expect(names.sort()).toEqual([...PROGRAMS, 'letters', 'server'].sort());
  });

  it.each(PROGRAMS.filter((name) => !RUN.includes(name)))(
    'the job %s runs a program of the examples',
    (name) => {
      const plan = planFile(inPool(name, 'local'));
      const [job] = renderPlan(plan, `${name}-1`, '/none');
      const program = job?.command.find((word) => word.startsWith(join(REPOSITORY, 'examples/')));
      expect([program && existsSync(program), program]).toEqual([true, expect.stringMatching(/\.mjs$/)]);
    },
  );

  it.concurrent.each(RUN)(
    'the job %s runs on a host that is started when its program asks, and ends well',
    async (name) => {
      const computes = COMPUTING.includes(name);
      const { report, log } = await site.run(inPool(name, computes ? 'local' : 'fast'));
      const last = computes ? 'sha256 ' : 'Wrote ';
      expect([report.phase, log]).toEqual(['succeeded', expect.stringContaining(last)]);
    },
    MINUTES,
  );

  it(
    'a batch calls its function once for each file, divided among its workers',
    async () => {
      const { record, report, log } = await site.run(inPool('letters', 'local'));
      expect(report).toMatchObject({ phase: 'succeeded', tasks: [{ index: 0 }, { index: 1 }] });
      const decisions = join(REPOSITORY, 'docs/decisions');
      const files = readdirSync(decisions).sort();
      const results = join(record.folder, 'results');
      expect(readdirSync(results).sort()).toEqual(files.map((name) => `${name}.json`));
      const [first = ''] = files;
      const text = readFileSync(join(decisions, first), 'latin1');
      const counts = Object.fromEntries(
        [...'etaoin'].map((letter) => [letter, text.split(letter).length - 1]),
      );
      expect(JSON.parse(readFileSync(join(results, `${first}.json`), 'utf8'))).toEqual(counts);
      const half = Math.floor(files.length / 2);
      expect(log).toContain(`${half} files done, 0 were done before, 0 failed`);
    },
    MINUTES,
  );

  it(
    'a server runs on GPU hosts of its pool until it is cancelled',
    async () => {
      const models = join(site.folder, 'models');
      mkdirSync(join(models, 'simple/1'), { recursive: true });
      writeFileSync(join(models, 'simple/1/model.onnx'), onnxBytes(simple()));
      const text = `kind: server\ndataset: models\npool: fast\nparameters: { http: "127.0.0.1:0", grpc: "off" }\n`;
      const record = await site.submit(site.file('server.yaml', text));
      await expect
        .poll(() => site.log(record), { timeout: 60_000 })
        .toContain('farlight infer ready: http://');
      const [, http = ''] = /ready: (http:\S+)/.exec(site.log(record)) ?? [];
      expect((await fetch(`${http}/v2/models/simple/ready`)).status).toBe(200);
      expect(await lookAtJob(record)).toMatchObject({
        phase: 'running',
        tasks: [{ state: { node: hostname() } }],
      });
      expect(await new LocalEngine(join(site.state, 'jobs')).list('farlight.fast')).toMatchObject([
        { status: { phase: 'running' } },
      ]);
      expect(await cancelJob(record)).toBe(1);
      expect(await awaitJob(record, () => {})).toMatchObject({ phase: 'cancelled' });
      await expect(fetch(`${http}/v2/health/ready`)).rejects.toThrow();
    },
    MINUTES,
  );
});

// They wait most of the time.
describe.concurrent('a job', () => {
  it(
    'is sent to its engine exactly as it is rendered before',
    async ({ expect }) => {
      const request = site.script(
        'exact',
        'echo "$0" "$@"',
        'arguments: ["it\'s", "$HOME"]\nenvironment: { A: "b c" }\n',
      );
      const plan = planFile(request);
      const { id, folder } = new JobRecord(nextId('exact'));
      const rendered = renderPlan(plan, id, folder);
      const printed = await runFarlight(['job', 'render', request]);
      expect(printed).toMatchObject({ code: 0, stderr: '' });
      expect(printed.stdout).toBe(`${rendered.map((job) => plan.pool.engine.render(job)).join('\n')}`);
      const { record } = await site.run(request);
      expect(record.id).toBe(id);
      const job = record.read({ type: 'main', index: 0, attempt: 1 }, 'job');
      expect(site.engineFile(job?.id ?? '', 'job')).toEqual(JSON.parse(JSON.stringify(rendered[0])));
    },
    MINUTES,
  );

  it(
    'keeps its template and runs on with it, whatever the catalogue has later',
    async ({ expect }) => {
      const { record } = await site.run(site.script('kept', 'exit 3'));
      expect(new JobRecord(record.id).parts.template.text).toBe(SCRIPT_TEMPLATE);
    },
    MINUTES,
  );

  it(
    'that ends with an error is not run again by itself, and is where a person asks for it',
    async ({ expect }) => {
      const request = site.script('fails', 'test -e "$1/go" || exit 7');
      const { record, report } = await site.run(request);
      expect(report.tasks).toMatchObject([
        { attempt: 1, state: { phase: 'failed', why: 'it ended with exit code 7', code: 7 } },
      ]);
      await expect(retryJob((await site.run(site.script('well', 'true'))).record)).rejects.toThrow(
        /has nothing to try again: all its tasks have succeeded/,
      );
      writeFileSync(join(record.folder, 'results/go'), '');
      expect(await retryJob(record)).toBe(1);
      expect(await awaitJob(record, () => {})).toMatchObject({ phase: 'succeeded', tasks: [{ attempt: 2 }] });
      await deleteJob(record);
      expect(existsSync(record.folder)).toBe(false);
    },
    MINUTES,
  );

  it(
    'is run again where the site ended it, as often as its template says, each time in a folder of its own',
    async ({ expect }) => {
      const record = await site.submit(site.script('lost', 'pwd; echo "$FARLIGHT_TASK"; exec sleep 600'));
      for (const attempt of [1, 2, 3]) {
        const jobOf = () => record.read({ type: 'main', index: 0, attempt }, 'job')?.id ?? '';
        const part = (name: string) => (site.engineFile(jobOf(), name) as { pid: number }).pid;
        await expect
          .poll(() => jobOf() !== '' && existsSync(join(site.state, 'jobs', jobOf(), 'process')), {
            timeout: 30_000,
          })
          .toBe(true);
        const log = record.logOf({ type: 'main', index: 0, attempt });
        await expect.poll(() => readFileSync(log, 'utf8'), { timeout: 30_000 }).toContain('main.0');
        // The machine is switched off: neither the job nor the process that looks after it is left.
        for (const pid of [part('runner'), part('process')]) process.kill(pid, 'SIGKILL');
      }
      const report = await awaitJob(record, () => {});
      expect(report.tasks).toMatchObject([
        { attempt: 3, state: { phase: 'failed', why: 'its process was killed' } },
      ]);
      const folders = site
        .log(record)
        .split('\n')
        .filter((line) => line.startsWith('/'));
      expect(new Set(folders).size).toBe(3);
      expect(site.log(record).match(/^main\.0$/gm)).toHaveLength(3);
    },
    MINUTES,
  );

  it(
    'is looked after by any process: two at once submit each attempt once, and a killed one is followed',
    async ({ expect }) => {
      const record = await site.submit(
        site.script('watched', 'until test -e "$1/go"; do sleep 0.05; done', 'tasks: { main: 3 }\n'),
      );
      const drivers = [new JobDriver(record), new JobDriver(new JobRecord(record.id))];
      await Promise.all(drivers.flatMap((driver) => [driver.pass(), driver.pass()]));
      const engine = new LocalEngine(join(site.state, 'jobs'));
      await expect.poll(async () => (await engine.list(`farlight-job.${record.id}.`)).length).toBe(3);
      const watcher = () =>
        JSON.parse(readFileSync(join(record.folder, `watcher.${hostname()}`), 'utf8')).pid;
      await expect.poll(() => existsSync(join(record.folder, `watcher.${hostname()}`))).toBe(true);
      const killed = watcher();
      process.kill(killed, 'SIGKILL');
      await expect.poll(() => lookAtJob(record).then(watcher)).not.toBe(killed);
      writeFileSync(join(record.folder, 'results/go'), '');
      expect(await awaitJob(record, () => {})).toMatchObject({ phase: 'succeeded' });
    },
    MINUTES,
  );

  it(
    'that was submitted by a process which died before it could tell is found in its engine',
    async ({ expect }) => {
      const plan = planFile(site.script('orphan', 'exec sleep 600'));
      const record = new JobRecord(nextId('orphan'));
      expect(record.take()).toBe(true);
      record.begin(plan.parts);
      const which = { type: 'main', index: 0, attempt: 1 };
      record.claim(which);
      const [job] = renderPlan(plan, record.id, record.folder);
      if (!job) throw new Error('no job');
      const id = await plan.pool.engine.submit(job);
      await new JobDriver(record).pass();
      expect(record.read(which, 'job')).toEqual({ id });
      await cancelJob(record);
      expect(await awaitJob(record, () => {})).toMatchObject({ phase: 'cancelled' });
    },
    MINUTES,
  );

  it(
    'that is cancelled before its first attempt is never submitted',
    async ({ expect }) => {
      const plan = planFile(site.script('early', 'echo began'));
      const record = new JobRecord(nextId('early'));
      record.take();
      record.begin(plan.parts);
      expect(await cancelJob(record)).toBe(1);
      expect(await awaitJob(record, () => {})).toMatchObject({ phase: 'cancelled' });
      expect(site.log(record)).toBe('');
      expect(await cancelJob(record)).toBe(0);
    },
    MINUTES,
  );

  it(
    'a batch goes on after a failure with the files that have no result',
    async ({ expect }) => {
      const data = join(site.folder, 'data');
      mkdirSync(data);
      for (const name of ['a', 'b', 'c']) writeFileSync(join(data, name), name);
      site.file(
        'each.mjs',
        `import { existsSync, readFileSync } from 'node:fs';
      export default (file) => {
        if (file.endsWith('b') && !existsSync(${JSON.stringify(join(site.folder, 'repaired'))})) throw new Error('b is broken');
        return readFileSync(file, 'utf8');
      };`,
      );
      const { record, report, log } = await site.run(
        site.file('each.yaml', 'kind: batch\nboot: each.mjs\ndataset: data\npool: fast\n'),
      );
      expect(report).toMatchObject({ phase: 'failed', tasks: [{ state: { code: 1 } }] });
      expect(log).toMatch(/2 files done, 0 were done before, 1 failed\nfarlight: b: b is broken\n/);
      site.file('repaired', '');
      await retryJob(record);
      expect(await awaitJob(record, () => {})).toMatchObject({ phase: 'succeeded' });
      expect(site.log(record)).toContain('1 file done, 2 were done before, 0 failed');
      expect(readFileSync(join(record.folder, 'results/b.json'), 'utf8')).toBe('"b"\n');
    },
    MINUTES,
  );
});

describe('a job', () => {
  it(
    'has no secret in what its engine is told, in its record or in what it prints',
    async () => {
      site.pool('tls', 'line: tls\ngpu: { adapter: "null" }');
      process.env.FARLIGHT_TOKEN_OF_TEST = 'flt_secret_of_this_process';
      const { record, report } = await site.run(inPool('webgpu', 'tls'));
      delete process.env.FARLIGHT_TOKEN_OF_TEST;
      expect(report.phase).toBe('succeeded');
      const texts = (folder: string): string[] =>
        readdirSync(folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'));
      // The token is in the journal of the pool alone, which only this user can read.
      expect(texts(join(site.state, 'pools')).join('')).toMatch(/flt_/);
      const told = [...texts(record.folder), ...texts(join(site.state, 'jobs'))].join('');
      expect(told).toContain(`farlight-job.${record.id}.main.0`);
      expect(told).not.toMatch(/flt_/);
    },
    MINUTES,
  );
});

describe.skipIf(whyNoSlurm !== undefined)(`on a Slurm${whyNoSlurm ? ` (${whyNoSlurm})` : ''}`, () => {
  let slurm: SlurmSite;
  beforeAll(async () => {
    slurm = await SlurmSite.start({ staysUp: true });
    const folders = `XDG_CONFIG_HOME: ${process.env.XDG_CONFIG_HOME}, XDG_STATE_HOME: ${process.env.XDG_STATE_HOME}`;
    site.pool(
      'slurm',
      `engine: slurm\ncpu: { environment: { ${folders} } }\ngpu: { adapter: "null", limits: { gpus: 1 } }\n`,
    );
  }, MINUTES);
  afterAll(() => slurm?.close(), MINUTES);

  it(
    'a job runs on one node, and its program gets a GPU host on a node that Slurm powers up for it',
    async () => {
      const { report, record, log } = await site.run(inPool('webgpu', 'slurm'));
      expect([report.phase, log]).toEqual(['succeeded', expect.stringContaining('Wrote ')]);
      expect(existsSync(join(record.folder, 'output/main.0.1/triangle.png'))).toBe(true);
      expect(slurm.describe()).toMatch(
        /JobName=farlight\.slurm\.\S+[\s\S]*JobName=farlight-job\.webgpu-\d+\.main\.0|JobName=farlight-job[\s\S]*JobName=farlight\.slurm/,
      );
    },
    MINUTES,
  );

  it(
    'a job that Slurm refuses is told at once, and no task of it runs',
    async () => {
      const request = site.script(
        'refused',
        'true',
        'pool: slurm\ntasks: { main: 2 }\nresources: { partition: none }\n',
      );
      await expect(site.submit(request)).rejects.toThrow(
        /^the job refused-1 was not submitted: Slurm refuses the job: .*partition/,
      );
      expect((await lookAtJob(JobRecord.find('refused-1'))).phase).toBe('failed');
      expect(slurm.describe()).not.toContain('refused-1');
    },
    MINUTES,
  );

  it(
    'a job whose node fails is run again',
    async () => {
      const record = await site.submit(site.script('moved', 'hostname; exec sleep 600', 'pool: slurm\n'));
      const nodeOf = async (attempt: number) => {
        const [task] = (await lookAtJob(record)).tasks;
        return task?.attempt === attempt && task.state.phase === 'running' ? task.state.node : undefined;
      };
      await expect.poll(() => nodeOf(1), { timeout: 60_000 }).toBeDefined();
      const first = (await nodeOf(1)) ?? '';
      slurm.fail(first);
      await expect.poll(() => nodeOf(2), { timeout: 60_000 }).toBeDefined();
      expect(record.read({ type: 'main', index: 0, attempt: 1 }, 'end')).toEqual({
        why: 'its node failed',
        bySite: true,
      });
      await cancelJob(record);
      expect(await awaitJob(record, () => {})).toMatchObject({ phase: 'cancelled', tasks: [{ attempt: 2 }] });
    },
    MINUTES,
  );

  it(
    'a job runs in a container of its image, which the site has unpacked as a bundle',
    async () => {
      const digest = 'b5'.repeat(32);
      const bundle = join(site.folder, 'bundles', digest);
      slurm.bundle(bundle);
      addImage(
        site.file(
          'unpacked.yaml',
          `name: unpacked\nfor: { framework: [boxed], task: [main] }\nimage: x@sha256:${digest}\nbundle: ${bundle}\n`,
        ),
      );
      const { record, report, log } = await site.run(
        site.script(
          'boxed',
          'echo "in $PWD"; test -e /root || echo boxed; exit 5',
          'framework: boxed\npool: slurm\n',
        ),
      );
      // The bundle has no such folder, and this machine has.
      expect(log).toMatch(/^boxed$/m);
      expect(log).toContain(`in ${record.folder}/output/main.0.1\n`);
      expect(report.tasks).toMatchObject([{ attempt: 1, state: { phase: 'failed', code: 5 } }]);
    },
    MINUTES,
  );
});

describe.skipIf(whyNoDocker !== undefined)(`on a Docker${whyNoDocker ? ` (${whyNoDocker})` : ''}`, () => {
  let docker: DockerSite;
  beforeAll(async () => {
    docker = await DockerSite.start();
    const side = {
      image: docker.image,
      command: [process.execPath, CLI],
      mounts: [...docker.mounts, '/etc', REPOSITORY],
    };
    const { XDG_CONFIG_HOME = '', XDG_STATE_HOME = '' } = process.env;
    // A program in a container needs these to have others started.
    const asks = [XDG_CONFIG_HOME, XDG_STATE_HOME, docker.socket];
    site.pool(
      'docker',
      JSON.stringify({
        engine: 'docker',
        docker: { socket: docker.socket, network: 'host' },
        cpu: {
          ...side,
          mounts: [...side.mounts, ...asks],
          environment: { XDG_CONFIG_HOME, XDG_STATE_HOME, PATH: '/usr/bin:/bin' },
        },
        gpu: { ...side, adapter: 'null' },
      }),
    );
  }, MINUTES);
  afterAll(() => docker?.close(), MINUTES);

  it(
    'a job runs in a container, and its program gets a GPU host in another one',
    async () => {
      const { report, record, log } = await site.run(inPool('webgpu', 'docker'));
      expect([report.phase, log]).toEqual(['succeeded', expect.stringContaining('Wrote ')]);
      expect(existsSync(join(record.folder, 'output/main.0.1/triangle.png'))).toBe(true);
      const names = docker.docker('ps', '--all', '--format', '{{.Label "farlight.job"}}');
      expect(names).toMatch(/^farlight\.docker\./m);
      expect(names).toContain(`farlight-job.${record.id}.main.0\n`);
      await deleteJob(record);
      expect(docker.docker('ps', '--all', '--format', '{{.Label "farlight.job"}}')).not.toContain(
        'farlight-job',
      );
    },
    MINUTES,
  );

  it(
    'a job runs in the image that was built from a recipe, by its digest',
    async () => {
      docker.docker('tag', docker.image, 'base:1');
      const recipe = `name: shell\nfor: { framework: [contained] }\ncommand: [none]\nrecipe: |\n  FROM base:1\n  ARG FARLIGHT_VERSION\n  ENV BUILT_FOR=$FARLIGHT_VERSION\n`;
      const env = { DOCKER_HOST: `unix://${docker.socket}` };
      const build = await runFarlight(['image', 'build', site.file('shell.yaml', recipe)], env);
      const [, image = build.stderr] = /^added shell: (sha256:[0-9a-f]{64})\n$/.exec(build.stdout) ?? [];
      const request = site.script(
        'contained',
        'echo "built for $BUILT_FOR"; cat /proc/1/comm',
        'framework: contained\npool: docker\n',
      );
      const plan = planFile(request);
      expect(plan.parts.images.main).toMatchObject({ name: 'shell', image });
      const { record, report, log } = await site.run(request);
      expect(report.phase).toBe('succeeded');
      // Docker's own first process, and not this machine's.
      expect(log).toContain('docker-init');
      expect(log).toContain(`built for ${packageVersion()}`);
      const id = record.read({ type: 'main', index: 0, attempt: 1 }, 'job')?.id ?? '';
      expect(docker.docker('inspect', '--format', '{{.Image}}', id).trim()).toBe(image);
    },
    MINUTES,
  );
});

describe('farlight job', () => {
  it(
    'submits and waits with the exit code of the program, lists, and shows what it printed',
    async () => {
      const request = site.script('told', 'echo "I ran"; exit 4');
      const { code, stdout, stderr } = await runFarlight(['job', 'submit', request, '--wait']);
      expect([code, stdout]).toEqual([4, 'told-1\n']);
      expect(stderr).toMatch(/farlight: told-1: main\.0: failed: it ended with exit code 4\n$/);
      expect((await runFarlight(['job', 'ls'])).stdout).toMatch(
        /^told-1 +failed +0\/1 +\S+Z +it ended with exit code 4$/m,
      );
      expect((await runFarlight(['job', 'ls', 'told-1'])).stdout).toMatch(
        /^main\.0 +1 +failed: it ended with exit code 4$/m,
      );
      expect((await runFarlight(['job', 'logs', 'told-1'])).stdout).toBe('I ran\n');
      const none = await runFarlight(['job', 'logs', 'told-9']);
      expect(none).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^farlight: there is no job told-9; there are: /),
      });
    },
    MINUTES,
  );

  it(
    'says that Slurm was silent when a job was submitted, and what to do about a job whose pool is gone',
    async () => {
      const bin = join(site.folder, 'bin');
      mkdirSync(bin);
      for (const name of ['sbatch', 'squeue'])
        writeFileSync(join(bin, name), "#!/bin/sh\necho 'Socket timed out' >&2\nexit 1\n", { mode: 0o755 });
      const env = { PATH: `${bin}:${process.env.PATH}`, SLURM_CONF: '' };
      site.pool('away', 'engine: slurm');
      const request = site.script('away', 'true', 'pool: away\n');
      expect(await runFarlight(['job', 'submit', request], env)).toMatchObject({
        code: 0,
        stdout: 'away-1\n',
        stderr: expect.stringMatching(
          /^farlight: Slurm does not answer: Socket timed out; .*; away-1 goes on/,
        ),
      });
      rmSync(join(site.folder, 'XDG_CONFIG_HOME/farlight/pools/away.yaml'));
      const { folder } = JobRecord.find('away-1');
      expect(await runFarlight(['job', 'rm', 'away-1'], env)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining(`if it is, delete its folder ${folder}`),
      });
      rmSync(folder, { recursive: true });
    },
    MINUTES,
  );

  it(
    'farlight doctor counts the templates and images, and names one that is broken',
    async () => {
      const doctor = () => runFarlight(['doctor', '--adapter', 'null', '--json']);
      const whole = JSON.parse((await doctor()).stdout);
      expect(whole.jobs).toEqual({ templates: storedTemplates().length, images: storedImages().length });
      const path = join(process.env.XDG_CONFIG_HOME ?? '', 'farlight/images/broken.yaml');
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, 'name: broken\nimage: node:22\n');
      const { advice } = JSON.parse((await doctor()).stdout);
      rmSync(path);
      expect(advice[0]).toMatch(
        /^No job can be submitted: .*broken\.yaml:2:8: "image" is not written as it must be/,
      );
    },
    MINUTES,
  );
});
