import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillCommand, fillText, namesIn } from '#farlight/jobs/render/leaf.js';
import { renderAttempt } from '#farlight/jobs/render/render.js';
import { parseRequest } from '#farlight/jobs/request/request-file.js';
import { parseTemplate } from '#farlight/jobs/templates/template-file.js';
import { readPool } from '#farlight/pool/definition/pool-file.js';
import { jobScript } from '#farlight/pool/engines/slurm/command-text.js';
import { hostileText, TEMPLATE } from '../support/jobs/hostile.js';

const values = new Map<string, string | string[]>([
  ['boot', '/p/app.mjs'],
  ['arguments', ['--fast', '${boot}', '']],
  ['parameters.epochs', '3'],
]);

describe('a leaf of a template', () => {
  it('gets values as parts of one argument, and a list as several', () => {
    expect(
      fillCommand(['node', '${boot}', '--epochs=${parameters.epochs}', '${arguments}', ''], values),
    ).toEqual(['node', '/p/app.mjs', '--epochs=3', '--fast', '${boot}', '', '']);
  });

  it('keeps a "${" that is written as "$${"', () => {
    expect(fillText('$${HOME} is $HOME, $$ and ${boot}', values)).toBe('${HOME} is $HOME, $$ and /p/app.mjs');
  });

  it.each(['${', '${boot', '${a b}', '${}', '${Boot}', '${parameters.}', '${__proto__}'])(
    '%j is refused',
    (leaf) => {
      expect(() => namesIn(leaf)).toThrow(/names no value; write it as \$\{NAME\}/);
    },
  );

  it('refuses a list within a text, and a value that is missing', () => {
    expect(() => fillText('x${arguments}', values)).toThrow(/arguments is a list/);
    expect(() => fillCommand(['${dataset}'], values)).toThrow(/needs dataset, which the request lacks/);
  });
});

describe('the values of a request', () => {
  const { template } = parseTemplate('template.yaml', TEMPLATE);
  const pool = readPool('pool://local');
  const render = (text: string, list: string[], variable: string) => {
    const written = JSON.stringify({
      kind: 'training',
      parameters: { text, list },
      arguments: list,
      environment: { NAME: variable },
    });
    const { parsed, problems } = parseRequest('request.yaml', written);
    if (!parsed || !template) throw new Error(JSON.stringify(problems));
    const parts = { id: 'a-1', request: parsed.request, template, images: {}, folder: '/jobs/a-1' };
    return renderAttempt(parts, pool, { type: 'main', index: 0, attempt: 1 });
  };

  it('become one argument each, whatever is in them', () => {
    fc.assert(
      fc.property(
        hostileText,
        fc.array(hostileText, { maxLength: 3 }),
        hostileText,
        (text, list, variable) => {
          const { command, environment } = render(text, list, variable);
          expect(command).toEqual(['run', `--text=${text}`, 'literal ${x}', ...list, 'end']);
          expect(environment).toMatchObject({ TEXT: `<${text}>`, NAME: variable });
        },
      ),
    );
  });

  it('reach a program unchanged through the shell of a batch script', () => {
    const texts = fc.sample(hostileText, { numRuns: 200, seed: 4 });
    const [first = '', ...others] = texts;
    const job = render(first, others, others[0] ?? '');
    const print =
      'process.stdout.write(JSON.stringify([process.argv.slice(1), process.env.TEXT, process.env.NAME]))';
    const script = jobScript({ ...job, command: [process.execPath, '-e', print, '--', ...job.command] });
    const { stdout, status } = spawnSync('/bin/sh', { input: script, encoding: 'utf8' });
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual([job.command, `<${first}>`, others[0]]);
  });

  it('are no options of the program where they stand alone, unless they are its own arguments', () => {
    const alone = TEMPLATE.replace('--text=${parameters.text}', '${parameters.text}');
    const { template: other } = parseTemplate('template.yaml', alone);
    const parsed = (text: string) =>
      parseRequest('r.yaml', JSON.stringify({ kind: 'training', parameters: { text, list: [] } })).parsed;
    const attempt = (text: string) => {
      const request = parsed(text)?.request;
      if (!request || !other) throw new Error('not read');
      const parts = { id: 'a-1', request, template: other, images: {}, folder: '/jobs/a-1' };
      return renderAttempt(parts, pool, { type: 'main', index: 0, attempt: 1 }).command;
    };
    expect(() => attempt('--import=evil.mjs')).toThrow(
      /parameters\.text begins with "-" \(--import=evil\.mjs\)/,
    );
    expect(attempt('-5')).toContain('-5');
  });

  it.each([
    ['a\0b', /^request\.yaml:1:\d+: "arguments\.0" has a character that no program can be given$/],
    ['\ud800', /"arguments\.0" has a character that no program can be given$/],
  ])('%j is refused, since no program can be given it', (text, problem) => {
    const { problems } = parseRequest('request.yaml', JSON.stringify({ kind: 'a', arguments: [text] }));
    expect(problems).toHaveLength(1);
    const [{ file, line, column, message } = { file: '', message: '' }] = problems;
    expect(`${file}:${line}:${column}: ${message.replace(/\.$/, '')}`).toMatch(problem);
  });

  it('name the program in an image as it is there, and the container sees only what is on this machine', () => {
    const written = 'kind: training\nprogram: image:/app\nboot: bin/run.mjs\ndataset: .\n';
    const { parsed } = parseRequest('request.yaml', written);
    const { template: boot } = parseTemplate('t.yaml', TEMPLATE.replace('- run', '- ${boot}'));
    if (!parsed || !boot) throw new Error('not read');
    const engine = { ...pool.engine, images: 'registry', limits: [] } as unknown as typeof pool.engine;
    const side = { ...pool.cpu, mounts: ['/data'] };
    const image = { name: 'node', image: `node@sha256:${'0'.repeat(64)}`, command: ['/opt/farlight'] };
    const request = { ...parsed.request, parameters: { text: '', list: [] } };
    const parts = { id: 'a-1', request, template: boot, images: { main: image }, folder: '/jobs/a-1' };
    const job = renderAttempt(parts, { ...pool, engine, cpu: side }, { type: 'main', index: 1, attempt: 2 });
    expect(job).toMatchObject({
      name: 'farlight-job.a-1.main.1',
      term: 2,
      image: image.image,
      mounts: ['/jobs/a-1', process.cwd(), '/data'],
      folder: '/jobs/a-1/output/main.1.2',
      log: '/jobs/a-1/main.1.2.log',
    });
    expect(job.command[0]).toBe('/app/bin/run.mjs');
    expect(job.environment).not.toHaveProperty('HOME');
  });
});
