import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { planText } from '#farlight/cli/job/plan-text.js';
import { buildImage } from '#farlight/jobs/images/build.js';
import {
  addImage,
  findImage,
  type ImageRecipe,
  storedImages,
  storedRecipes,
} from '#farlight/jobs/images/images.js';
import { planFile, renderPlan } from '#farlight/jobs/run/plan.js';
import { addEntry } from '#farlight/jobs/store/catalogue.js';
import { jsonSchemaOf, parseTemplate } from '#farlight/jobs/templates/template-file.js';
import {
  addTemplate,
  findTemplate,
  newestTemplates,
  readTemplate,
  storedTemplates,
} from '#farlight/jobs/templates/template-store.js';
import { problemText } from '#farlight/link/files/checked-file.js';

const folder = mkdtempSync(join(tmpdir(), 'catalogue-'));
const own = join(folder, 'farlight');
const before = process.env.XDG_CONFIG_HOME;
beforeAll(() => {
  process.env.XDG_CONFIG_HOME = folder;
});
beforeEach(() => {
  rmSync(own, { recursive: true, force: true });
  mkdirSync(join(own, 'pools'), { recursive: true });
});
afterAll(() => {
  if (before === undefined) delete process.env.XDG_CONFIG_HOME;
  else process.env.XDG_CONFIG_HOME = before;
  rmSync(folder, { recursive: true, force: true });
});

const DIGEST = 'd1'.repeat(32);

function file(text: string, name = 'file.yaml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const template = (version: number, more = '', command = 'node') =>
  file(
    `name: mine\nversion: ${version}\nabout: Mine.\nfor: { kind: [mine] }\n${more}tasks: { main: { command: [${command}] } }\n`,
  );

describe('the file of a template', () => {
  const wrong = (text: string) => parseTemplate('t.yaml', text).problems.map(problemText);
  const HEAD = 'name: a\nversion: 1\nabout: A.\n';

  it.each([
    ['name: a\nversion: 1\nabout: A.\n', 't.yaml:1:1: The file has no "tasks"'],
    [`${HEAD}tasks: {}\n`, 't.yaml:4:8: "tasks" must NOT have fewer than 1 properties'],
    [`${HEAD}tasks:\n  main:\n    command: ["\${oops}"]\n`, 't.yaml:6:15: There is no value "oops"'],
    [
      `${HEAD}tasks:\n  main:\n    command: [a, "x\${arguments}"]\n`,
      't.yaml:6:18: "arguments" is a list, which can only be an argument by itself',
    ],
    [
      `${HEAD}tasks:\n  main:\n    command: [a]\n    environment: { A: "\${parameters.x}" }\n`,
      't.yaml:7:23: There is no value "parameters.x"',
    ],
    [
      `${HEAD}tasks:\n  main:\n    command: [a, "\${boot"]\n`,
      't.yaml:6:18: "${boot" names no value; write it as ${NAME}, and a "${" of the command itself as $${',
    ],
    [
      `${HEAD}parameters:\n  n: { type: integer, minimum: 2, default: 1 }\ntasks: { main: { command: [a] } }\n`,
      't.yaml:5:44: "parameters.n.default" must be >= 2',
    ],
    [
      `${HEAD}parameters:\n  n: { type: string, pattern: "(" }\ntasks: { main: { command: [a] } }\n`,
      /^t\.yaml:5:3: "n" is no schema: .*Invalid regular expression/,
    ],
    [
      `${HEAD}parameters:\n  constructor: { type: string }\ntasks: { main: { command: [a] } }\n`,
      't.yaml:5:3: A parameter cannot be called "constructor"',
    ],
    [
      `${HEAD}tasks:\n  main: { command: [a], count: { default: 3, most: 2 } }\n`,
      't.yaml:5:43: "main" has at most 2 by its own "most"',
    ],
    [
      `${HEAD}tasks:\n  main: { command: [a], image: b }\n`,
      't.yaml:5:25: There is no setting "image" here; there are: count, gpu, folder, command, environment, limits',
    ],
  ])('%j is refused, with its line and column', (text, problem) => {
    const [first = '', ...others] = wrong(text);
    expect(others).toEqual([]);
    if (typeof problem === 'string') expect(first).toBe(problem);
    else expect(first).toMatch(problem);
  });

  it('gives one JSON schema for all its parameters', () => {
    const { template: read } = parseTemplate(
      't.yaml',
      `${HEAD}parameters: { n: { type: integer }, s: { type: string, default: x } }\ntasks: { main: { command: [a] } }\n`,
    );
    expect(read && jsonSchemaOf(read.file)).toEqual({
      type: 'object',
      additionalProperties: false,
      properties: { n: { type: 'integer' }, s: { type: 'string', default: 'x' } },
      required: ['n'],
    });
  });
});

describe('the templates', () => {
  it('that come with Farlight are well formed, and are for inference, training, batches and servers', () => {
    const kinds = new Set(storedTemplates().flatMap(({ scope }) => scope.kind ?? []));
    expect(kinds).toEqual(new Set(['inference', 'training', 'batch', 'server']));
    expect(storedTemplates().every(({ isBuiltIn }) => isBuiltIn)).toBe(true);
  });

  it('a version never changes: another text needs another version, also where somebody edits the file', () => {
    expect(addTemplate(readTemplate(template(1)))).toEqual({ title: 'mine@1', isNew: true });
    expect(addTemplate(readTemplate(template(1)))).toEqual({ title: 'mine@1', isNew: false });
    expect(() => addTemplate(readTemplate(template(1, '', 'python')))).toThrow(
      /mine@1 is there with another text, and a version never changes; give it version 2/,
    );
    expect(addTemplate(readTemplate(template(2, '', 'python'))).isNew).toBe(true);
    expect(findTemplate('mine').template.file.version).toBe(2);
    expect(findTemplate('mine@1').template.file.version).toBe(1);
    expect(newestTemplates().filter(({ name }) => name.startsWith('mine'))).toHaveLength(1);
    const [first = ''] = readdirSync(join(own, 'templates'));
    chmodSync(join(own, 'templates', first), 0o644);
    writeFileSync(
      join(own, 'templates', first),
      `name: mine\nversion: 1\nabout: B.\ntasks: { a: { command: [b] } }\n`,
    );
    expect(() => storedTemplates()).toThrow(/is not what was added as mine@1; a version never changes/);
  });

  it('a name of Farlight is not taken by another', () => {
    const path = file('name: batch\nversion: 9\nabout: B.\ntasks: { a: { command: [b] } }\n');
    expect(() => addTemplate(readTemplate(path))).toThrow(
      /batch comes with Farlight; give your template another name/,
    );
  });

  it('one that a later version deprecates can still be used, with a warning', () => {
    addTemplate(readTemplate(template(1)));
    addTemplate(readTemplate(template(2, 'deprecates: { versions: [1], why: it is slow }\n')));
    expect(findTemplate('mine@1').deprecated).toBe('it is slow');
    expect(findTemplate('mine@2').deprecated).toBeUndefined();
    expect(planFile(file('kind: mine\ntemplate: mine@1\n')).warnings).toEqual([
      'mine@1 is deprecated: it is slow',
    ]);
    expect(planFile(file('kind: mine\n')).warnings).toEqual([]);
  });

  it('an unknown one is told with those that there are', () => {
    addTemplate(readTemplate(template(1)));
    expect(() => findTemplate('mine@7')).toThrow(/there is no template mine@7; name one of: mine@1/);
    expect(() => findTemplate('other')).toThrow(/there is no template other; name one of: batch@1, /);
  });
});

describe('the images', () => {
  it('a tag alone is refused, with its line and column', () => {
    expect(() => addImage(file('name: node\nimage: docker.io/library/node:22\n'))).toThrow(
      /file\.yaml:2:8: "image" is not written as it must be: NAME@sha256:DIGEST, since a tag may name another image tomorrow/,
    );
    expect(() => addImage(file(`name: node\nimage: node@sha256:${DIGEST.slice(2)}\n`))).toThrow(/2:8/);
    expect(addImage(file(`name: node\nimage: node:22@sha256:${DIGEST}\n`)).isNew).toBe(true);
  });

  it('a bundle is in a folder with the digest of its image', () => {
    const image = `name: node\nimage: node@sha256:${DIGEST}\n`;
    expect(() => addImage(file(`${image}bundle: /b/${'e2'.repeat(32)}\n`))).toThrow(
      /file\.yaml:3:9: The bundle's folder has another digest as its name than the image/,
    );
    expect(() => addImage(file(`${image}bundle: /b/node\n`))).toThrow(/3:9/);
    expect(addImage(file(`${image}bundle: /b/${DIGEST}\n`))).toEqual({ name: 'node', isNew: true });
    expect(addImage(file(`${image}bundle: /b/${DIGEST}\n`))).toEqual({ name: 'node', isNew: false });
    expect(() => addImage(file(image))).toThrow(/there is another image node; give this one another name/);
    expect(storedImages().map(({ name }) => name)).toEqual(['node']);
    expect(() => findImage('deno')).toThrow(/there is no image deno; there are: node/);
  });
});

describe('the recipes of images', () => {
  it('are no images: one comes with Farlight, with the drivers of its host’s image', () => {
    expect(storedImages()).toEqual([]);
    const [{ name, recipe }] = storedRecipes() as [ImageRecipe];
    expect(name).toBe('node');
    const packages = /apt-get install .*$/m;
    const host = readFileSync(new URL('../../deploy/Containerfile', import.meta.url), 'utf8');
    expect(packages.exec(recipe)?.[0]).toBe(packages.exec(host)?.[0]);
    expect(recipe).toContain('farlight@${FARLIGHT_VERSION}');
  });

  it('are built, and not added', async () => {
    const recipe = file('name: mine\nrecipe: FROM scratch\n', 'mine.yaml');
    expect(() => addImage(recipe)).toThrow(
      /mine\.yaml has a recipe, and no image yet; build it: farlight image build/,
    );
    expect(() => addImage(file('name: mine\n'))).toThrow(/There must be an "image", or the "recipe" of one/);
    const both = file(`name: mine\nrecipe: FROM scratch\nimage: x@sha256:${DIGEST}\n`);
    expect(() => addImage(both)).toThrow(/file\.yaml:2:9: A recipe has no "image"/);
    const builder = 'no-such-builder';
    await expect(buildImage(recipe, { builder })).rejects.toThrow(
      /there is no command no-such-builder; install it, or name another one with --builder/,
    );
    await expect(buildImage(recipe, { builder: 'false' })).rejects.toThrow(
      'false did not build the image: it ended with exit code 1',
    );
    // The name is checked before a build that takes minutes.
    await expect(buildImage(recipe, { builder: 'false', name: 'A b' })).rejects.toThrow(
      /the image of .*"name"/,
    );
    await expect(buildImage('none', { builder })).rejects.toThrow(
      'there is no recipe none; name a file, or one of: node',
    );
  });
});

describe('the plan for a request', () => {
  const slurm = () =>
    file(
      'engine: slurm\ncpu: { limits: { partition: cpu } }\ngpu: { limits: { gpus: 1, partition: gpu } }\n',
      'site.yaml',
    );

  it.each([
    ['kind: inference\n', 'file.yaml:1:1: The template inference@1 needs a "boot"'],
    [
      'kind: inference\nboot: none.mjs\n',
      'file.yaml:2:7: There is no file none.mjs in the folder of the program',
    ],
    ['kind: inference\nboot: ../a.mjs\n', 'file.yaml:2:7: "../a.mjs" is not in the folder of the program'],
    [
      'kind: inference\nboot: /etc/passwd\n',
      'file.yaml:2:7: "/etc/passwd" is not in the folder of the program',
    ],
    [
      'kind: inference\nboot: file.yaml\ntasks: { main: 2 }\n',
      'file.yaml:3:16: inference@1 has at most 1 tasks "main"',
    ],
    ['kind: inference\nboot: file.yaml\ntasks: { main: 0 }\n', 'file.yaml:3:8: The job has no task'],
    [
      'kind: inference\nboot: file.yaml\nresources:\n  cpus: 2\n',
      "file.yaml:4:3: the engine local cannot limit a job's cpus",
    ],
    [
      'kind: batch\nboot: file.yaml\ndataset: none\n',
      `file.yaml:3:10: There is no file or folder ${folder}/none`,
    ],
    [
      'kind: training\nframework: tensorflow.js\nboot: file.yaml\nparameters: { epochs: many }\n',
      'file.yaml:4:23: "parameters.epochs" must be integer',
    ],
    [
      'kind: training\nframework: tensorflow.js\nboot: file.yaml\nparameters:\n  epoch: 3\n',
      'file.yaml:5:3: There is no setting "epoch" here; there are: epochs, ',
    ],
    ['knd: inference\n', 'file.yaml:1:1: There is no setting "knd" here'],
    ['kind: dance\n', 'there is no template for the kind dance; farlight template add FILE adds one'],
  ])('%j is refused, with its line and column', (text, problem) => {
    expect(() => planFile(file(text))).toThrow(problem);
  });

  it('a tie is an error that names both', () => {
    const one = (name: string) =>
      `name: ${name}\nversion: 1\nabout: A.\nfor: { kind: [mine] }\ntasks: { a: { command: [b] } }\n`;
    for (const name of ['first', 'second']) addTemplate(readTemplate(file(one(name))));
    expect(() => planFile(file('kind: mine\n'))).toThrow(
      'several templates are equally good for the kind mine: first@1 (for kind mine) and second@1 (for kind mine); ' +
        `name one of them as the request's "template"`,
    );
    expect(planFile(file('kind: mine\ntemplate: second\n')).template.chosen.name).toBe('second@1');
  });

  it('a task gets the most specific image of its framework, kind and type, pinned in the job', () => {
    const bundle = (digits: string) => `image: x@sha256:${digits}\nbundle: /b/${digits}\n`;
    addImage(file(`name: any\n${bundle(DIGEST)}`));
    addImage(file(`name: tf\nfor: { framework: [tensorflow.js@4] }\n${bundle('a1'.repeat(32))}`));
    addImage(
      file(
        `name: no-bundle\nfor: { framework: [tensorflow.js@4], kind: [inference] }\nimage: x@sha256:${DIGEST}\n`,
      ),
    );
    const text = `kind: inference\nboot: file.yaml\npool: ${slurm()}\n`;
    const plan = planFile(file(`${text}framework: tensorflow.js@4.22.0\n`));
    const { images } = plan;
    expect(images.get('main')?.chosen.name).toBe('tf');
    expect(images.get('main')?.lost.map(({ candidate, why }) => `${candidate.name}: ${why}`)).toEqual([
      'no-bundle: it has no bundle, which slurm needs',
      'any: tf is more specific',
    ]);
    expect(plan.parts.images.main).toMatchObject({ image: `x@sha256:${'a1'.repeat(32)}` });
    expect(planFile(file(text)).images.get('main')?.chosen.name).toBe('any');
    expect(planFile(file(`${text}image: none\n`)).images.size).toBe(0);
    expect(() => planFile(file(`${text}image: no-bundle\n`))).toThrow(
      /no-bundle cannot be used: it has no bundle/,
    );
  });

  it('a job of Kubernetes is rendered as a Pod with its image, its words and its folders', () => {
    const pinned = (digits: string) => `a/b@sha256:${digits.repeat(32)}`;
    const sides = `cpu: { image: "${pinned('c1')}" }\ngpu: { image: "${pinned('c2')}" }\n`;
    const pool = file(`engine: kubernetes\n${sides}`, 'cluster.yaml');
    const plan = planFile(file(`kind: inference\nboot: file.yaml\npool: ${pool}\narguments: ["it's: {}"]\n`));
    expect(plan.warnings).toEqual([]);
    const elsewhere = planFile(file(`kind: inference\nprogram: /usr\nboot: bin/env\npool: ${pool}\n`));
    expect(elsewhere.warnings).toEqual([
      expect.stringMatching(
        /^the container of the task main does not see .*cluster\.yaml, by which its program asks/,
      ),
    ]);
    const told = planText(plan, 'pod-1', { explain: false, style: (_, text) => text });
    expect(told).toContain(`task main  1, in the pool's image (${pinned('c1')})`);
    const [job] = renderPlan(plan, 'pod-1', '/jobs/pod-1');
    const { kind, spec } = JSON.parse(job ? plan.pool.engine.render(job) : '');
    expect(kind).toBe('Pod');
    expect(spec).toMatchObject({
      restartPolicy: 'Never',
      containers: [
        {
          image: pinned('c1'),
          command: ['farlight', 'run', '--', 'node', join(folder, 'file.yaml'), "it's: {}"],
          workingDir: '/jobs/pod-1/output/main.0.1',
        },
      ],
      volumes: [{ hostPath: { path: '/jobs/pod-1' } }, { hostPath: { path: folder } }],
    });
  });
});

describe('a file of a catalogue', () => {
  it('is added once, and refused with the reason where a part of its path is a file', () => {
    expect(addEntry('added', 'a.yaml', 'first')).toBe(true);
    expect(addEntry('added', 'a.yaml', 'second')).toBe(false);
    expect(readdirSync(join(own, 'added'))).toEqual(['a.yaml']);
    expect(readFileSync(join(own, 'added/a.yaml'), 'utf8')).toBe('first');
    writeFileSync(join(own, 'file'), '');
    for (const catalogue of ['file', 'file/below'])
      expect(() => addEntry(catalogue, 'a.yaml', 'text')).toThrow(
        expect.objectContaining({
          code: 'BAD_OPTION',
          message: expect.stringMatching(/a\.yaml cannot be written: /),
        }),
      );
  });
});
