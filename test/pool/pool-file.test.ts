import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { poolNames, readPool } from '#farlight/pool/definition/pool-file.js';
import { hostJob } from '#farlight/pool/host/job.js';
import { hashOf, Journal } from '#farlight/pool/journal/journal.js';

const folder = mkdtempSync(join(tmpdir(), 'pool-file-'));
const before = process.env.XDG_CONFIG_HOME;
beforeAll(() => {
  process.env.XDG_CONFIG_HOME = folder;
  mkdirSync(join(folder, 'farlight/pools'), { recursive: true });
});
afterAll(() => {
  if (before === undefined) delete process.env.XDG_CONFIG_HOME;
  else process.env.XDG_CONFIG_HOME = before;
  rmSync(folder, { recursive: true, force: true });
});

function file(text: string, name = 'lab.yaml'): string {
  const path = join(folder, 'farlight/pools', name);
  writeFileSync(path, text);
  return path;
}

describe('a pool file', () => {
  it('says what it leaves out, and is found by its name', () => {
    file('engine: slurm\nmax: 3\nlease: 12\ngpu: { limits: { gpus: 2, partition: gpu } }');
    const pool = readPool('pool://lab');
    expect(pool).toMatchObject({ name: 'lab', max: 3, idle: 60_000, wait: 600_000, line: 'auto' });
    expect(pool.terms).toMatchObject({ lease: 12_000, margin: 2000 });
    expect(pool.gpu.limits).toEqual({ gpus: '2', partition: 'gpu' });
    expect(poolNames()).toEqual(['lab', 'local']);
  });

  it('says what both sides see, by paths beside it', () => {
    file(
      'files: { mount: /shared/, replicate: [src, ./a/b.onnx, ../other, /data/set] }\ncpu: { environment: { A: b } }',
    );
    const { files, cpu, sessions } = readPool('pool://lab');
    const pools = join(folder, 'farlight/pools');
    expect(files).toEqual({
      mount: '/shared/',
      sources: [
        { from: join(pools, 'src'), to: 'src' },
        { from: join(pools, 'a/b.onnx'), to: 'a/b.onnx' },
        { from: join(folder, 'farlight/other'), to: 'other' },
        { from: '/data/set', to: 'set' },
      ],
    });
    expect([cpu.environment, sessions]).toEqual([{ A: 'b' }, Number.POSITIVE_INFINITY]);
  });

  it('need not be there for the pool local', () => {
    expect(readPool('pool://local')).toMatchObject({ name: 'local', max: 1, engine: { name: 'local' } });
  });

  it.each([
    ['engine: cobol', /lab\.yaml:1:9: "engine" must be one of local, slurm, kubernetes, docker$/],
    ['max: 0', /lab\.yaml:1:6: "max" must be >= 1$/],
    ['idel: 5', /lab\.yaml:1:1: There is no setting "idel" here; there are: .*idle,/],
    [
      'gpu:\n  limits:\n    gpus: many things',
      /lab\.yaml:3:11: "gpu.limits.gpus" is not written as it must be: a number, or KIND:NUMBER$/,
    ],
    [
      'engine: local\ngpu:\n  limits: { gpus: 1 }',
      /lab\.yaml:3:3: the engine local cannot limit a job's gpus; leave it out/,
    ],
    [
      'files: { mount: shared }',
      /lab\.yaml:1:17: "files.mount" is not written as it must be: an absolute path$/,
    ],
    ['cpu: { limits: { cpus: 2 } }', /lab\.yaml:1:8: the engine local cannot limit a job's cpus/],
    ['engine: docker', /lab\.yaml:1:1: the engine docker runs containers only; name an image by its digest/],
    [
      'engine: docker\ngpu:\n  image: node:22',
      /lab\.yaml:3:10: "gpu.image" is not written as it must be: an image by its digest/,
    ],
    [
      'engine: docker\ngpu:\n  image: /bundle',
      /lab\.yaml:3:3: the engine docker needs an image by its digest .*, and not \/bundle/,
    ],
    [
      'docker: { network: host }\nengine: local',
      /lab\.yaml:1:1: these are settings of the engine docker, and the engine is local; leave them out/,
    ],
    [
      'engine: slurm\nslurm: { rest: "http://slurm.example:6820", version: v0.0.38 }',
      /lab\.yaml:2:1: http:\/\/slurm\.example:6820 is plaintext, and others could read this user's token there; name an address with https$/,
    ],
    ['engine: slurm\nslurm: { rest: "unix:/s" }', /lab\.yaml:2:8: .*"version"/],
    ['engine: [', /lab\.yaml:1:/],
  ])('%j is refused, with its line and column', (text, problem) => {
    expect(() => readPool(`pool:${file(text)}`)).toThrow(problem);
  });

  it.each([
    [
      'pool://none',
      /there is no pool none; write .*pools\/none\.yaml, or name a file .* or one of: lab, local/,
    ],
    ['pool://a/b', /names no pool; write pool:\/\/NAME, or pool:FILE/],
    ['pool:', /names no pool/],
    ['pool:/no/such/file.yaml', /The file cannot be read/],
  ])('the address %s is refused', (address, problem) => {
    expect(() => readPool(address)).toThrow(problem);
  });
});

describe('the job that is a host', () => {
  it('has in an image no variable of this machine but the language, and the command of the image', () => {
    const image = `sha256:${'5'.repeat(64)}`;
    const pool = readPool(`pool:${file(`engine: docker\ngpu: { image: "${image}", mounts: [/data] }`)}`);
    const journal = new Journal(join(folder, 'journal-of-image'));
    const job = hostJob(pool, journal, { slot: 1, term: 1, token: 'flt_x' });
    expect(job).toMatchObject({
      image,
      mounts: ['/data'],
      command: expect.arrayContaining(['farlight', 'pool', 'host']),
    });
    expect(Object.keys(job.environment).filter((name) => !/^(LANG|LC_\w+|TZ)$/.test(name))).toEqual([]);
  });
});

describe('the description of a host', () => {
  const image = `sha256:${'5'.repeat(64)}`;

  it.each([
    ['local', 'line: tls'],
    ['slurm', ''],
    ['docker', `gpu: { image: "${image}" }`],
    ['kubernetes', `gpu: { image: "${image}" }`],
  ])('has the hash of its token for the engine %s, and not the token', (engine, more) => {
    const pool = readPool(`pool:${file(`engine: ${engine}\n${more}`)}`);
    const journal = new Journal(join(folder, `journal-of-${engine}`));
    const token = 'flt_a-token-of-a-term';
    const text = pool.engine.render(hostJob(pool, journal, { slot: 1, term: 1, token }));
    expect(text).toContain(hashOf(token));
    expect(text).not.toContain(token);
  });
});

describe('a journal', () => {
  it('gives a term to the first program that claims it, and says so to all', () => {
    const journal = new Journal(join(folder, 'journal'));
    expect(journal.latest(1)).toEqual({ term: 0 });
    expect([journal.claim(1, 1), journal.claim(1, 1), journal.claim(2, 1)]).toEqual([true, false, true]);
    expect(journal.isFenced(1, 1)).toBe(false);
    expect([journal.write(1, 1, 'fence', { why: 'a' }), journal.write(1, 1, 'fence', { why: 'b' })]).toEqual([
      true,
      false,
    ]);
    expect(journal.isFenced(1, 1)).toBe(true);
    expect(journal.latest(1)).toMatchObject({ term: 1, fence: { why: 'a' } });
  });

  it('does not give an old term to a program that slept while its files were deleted', () => {
    const journal = new Journal(join(folder, 'old'));
    for (let term = 1; term <= 8; term += 1) expect(journal.claim(1, term)).toBe(true);
    expect(journal.latest(1).term).toBe(8);
    expect(journal.claim(1, 2)).toBe(false);
    expect(journal.isFenced(1, 7)).toBe(true);
  });

  it('does not take a fence that it cannot read for none', () => {
    const journal = new Journal(join(folder, 'unreadable'));
    expect(journal.claim(1, 1)).toBe(true);
    mkdirSync(join(folder, 'unreadable', '1.1.fence'));
    expect(() => journal.isFenced(1, 1)).toThrow('EISDIR');
    expect(() => journal.latest(1)).toThrow('EISDIR');
  });

  it('has the token of a term, and the job has its hash alone', () => {
    file('engine: slurm');
    const journal = new Journal(join(folder, 'token'));
    journal.claim(1, 1);
    const token = journal.latest(1).claim?.token ?? '';
    expect(token).toMatch(/^flt_/);
    const pool = readPool('pool://lab');
    const text =
      JSON.stringify(hostJob(pool, journal, { slot: 1, term: 1, token })) +
      pool.engine.render(hostJob(pool, journal, { slot: 1, term: 1, token }));
    expect(text).toContain(hashOf(token));
    expect(text).not.toContain(token);
  });
});
