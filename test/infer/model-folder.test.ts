import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { readModelFolder } from '#farlight/infer/graph/model-folder.js';
import { CLI } from '../support/repository.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-models-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

/** What is wrong, as `file:line:column message`, without the folder. */
function problems(): string[] {
  return readModelFolder(folder).problems.map(({ file, line, column, message }) => {
    const place = line === undefined ? '' : `:${line}:${column}`;
    return `${file.slice(folder.length + 1)}${place} ${message}`;
  });
}

const OCR = `
inputs: [page]
steps:
  read:
    model: rec
    each: crops.images
    inputs: { x: crops.images }
  crops:
    function: crops.mjs#crop
    resource: cpu
    inputs: { page: page, boxes: detect.boxes }
  detect:
    model: det
    version: 2
    inputs: { x: page }
outputs:
  text: read.text
  boxes: detect.boxes
`;
const MODELS = { 'det/2/model.onnx': 'x', 'rec/1/model.onnx': 'x', 'rec/7/model.onnx': 'x' };

describe('a folder of models and graphs', () => {
  it('a link that leads in a circle is no model, and keeps no other from being served', () => {
    put({ 'm/1/model.onnx': 'x' });
    symlinkSync('circle', join(folder, 'circle'));
    expect(problems()).toEqual([]);
    expect([...readModelFolder(folder).models.keys()]).toEqual(['m']);
  });

  it('a step that is not there is missed, whatever its name is', () => {
    put({ ...MODELS, 'ocr/graph.yaml': OCR.replaceAll('detect.boxes', 'constructor.boxes') });
    expect(problems().filter((each) => each.includes('step'))).toEqual([
      expect.stringContaining('There is no step "constructor"'),
      expect.stringContaining('There is no step "constructor"'),
    ]);
  });

  it('the labels of a model have a line for each class', () => {
    const config = 'labels:\n  y: names.txt\n';
    put({ 'm/1/model.onnx': 'x', 'm/config.yaml': config, 'm/names.txt': 'cat\r\ndog\n' });
    const { models, problems } = readModelFolder(folder);
    expect(problems).toEqual([]);
    expect(models.get('m')?.labels).toEqual(new Map([['y', ['cat', 'dog']]]));
  });

  it('a file of labels that is missing, or not beside config.yaml, is a problem', () => {
    put({ 'm/1/model.onnx': 'x', 'm/config.yaml': 'labels:\n  y: names.txt\n' });
    put({ 'n/1/model.onnx': 'x', 'n/config.yaml': 'labels:\n  y: ../m/names.txt\n' });
    expect(problems()).toEqual([
      expect.stringMatching(
        /^m\/config.yaml:2:\d+ There is no file names.txt beside it, with a label on each line\.$/,
      ),
      expect.stringMatching(/^n\/config.yaml:2:\d+ /),
    ]);
  });

  it('a folder is read: the latest version of each model, and graphs with their steps in order', () => {
    put({ ...MODELS, 'ocr/graph.yaml': OCR, 'ocr/crops.mjs': '', 'rec/notes.txt': '', '.git/config': '' });
    const { models, graphs, problems } = readModelFolder(folder);
    expect(problems).toEqual([]);
    expect([...models.values()].map(({ name, versions }) => [name, [...versions.keys()]])).toEqual([
      ['det', [2]],
      ['rec', [7]],
    ]);
    const graph = graphs.get('ocr');
    expect(graph?.order).toEqual(['detect', 'crops', 'read']);
  });

  it('serves the versions that config.yaml names', () => {
    put({ ...MODELS, 'rec/config.yaml': 'versions: all\nmaxBatch: 4\n', 'det/config.yaml': '' });
    const rec = readModelFolder(folder).models.get('rec');
    expect([...(rec?.versions.keys() ?? [])]).toEqual([1, 7]);
    expect(rec?.maxBatch).toBe(4);
    put({ 'rec/config.yaml': 'versions: [1]\n' });
    expect([...(readModelFolder(folder).models.get('rec')?.versions.keys() ?? [])]).toEqual([1]);
  });

  it('each model that cannot be served has a problem', () => {
    put({
      'a/1/weights.bin': '',
      'b/notes.txt': '',
      'c/1/model.onnx': '',
      '2d/1/model.onnx': 'x',
      'e/1/model.onnx': 'x',
      'e/config.yaml': 'maxBatch: -1\nversion: 1\n',
      'f/1/model.onnx': 'x',
      'f/config.yaml': 'versions: [1, 3]\n',
    });
    expect(problems()).toEqual([
      '2d "2d" is no name: letters, digits, "_", "." and "-", and no digit first.',
      'a/1 There is no model.onnx in the version.',
      'b There is neither a graph.yaml nor a version, as b/1/model.onnx.',
      'c/1/model.onnx The file is empty.',
      'e/config.yaml:2:1 There is no setting "version" here; there are: maxBatch, labels, shard, versions.',
      'e/config.yaml:1:11 "maxBatch" must be >= 0.',
      'f/config.yaml:1:15 There is no version 3; there is 1.',
    ]);
  });

  it('each mistake of a model over several hosts is a problem', () => {
    const wrong = 'maxBatch: 4\nshard:\n  hosts: 2\n  dimensions: { all: [9, 12] }\n';
    put({
      'a/1/model.onnx': 'x',
      'a/config.yaml': wrong,
      'b/1/model.onnx': 'x',
      'b/config.yaml': 'shard:\n  hosts: 1\n  dimensions: { new: 0 }\n',
      'c/1/model.onnx': 'x',
      'c/config.yaml': 'shard: { host: 2 }\n',
    });
    expect(problems()).toEqual([
      'a/config.yaml:1:11 A model over several hosts takes one request at a time: leave out either maxBatch or shard.',
      'b/config.yaml:2:10 "shard.hosts" must be >= 2.',
      'b/config.yaml:3:22 "shard.dimensions.new" must be >= 1.',
      'b/config.yaml:3:22 "shard.dimensions.new" must be array.',
      'b/config.yaml:3:22 "shard.dimensions.new" is none of what it may be.',
      'c/config.yaml:1:8 "shard" has no "hosts".',
      'c/config.yaml:1:10 There is no setting "host" here; there are: hosts, dimensions, shapes.',
    ]);
    put({ 'a/config.yaml': wrong.replace('maxBatch: 4\n', '') });
    expect(readModelFolder(folder).models.get('a')?.shard).toEqual({
      hosts: 2,
      dimensions: { all: [9, 12] },
    });
  });

  it('a folder that is empty or missing has one problem', () => {
    expect(problems()).toEqual([' The folder has no model and no graph: put a model at NAME/1/model.onnx.']);
    expect(readModelFolder(join(folder, 'none')).problems).toHaveLength(1);
  });
});

describe('a graph that is wrong', () => {
  const graph = (text: string): string[] => {
    put({ ...MODELS, 'g/graph.yaml': text, 'g/f.mjs': '' });
    return problems();
  };

  it('each mistake of a graph has its place', () => {
    const found = graph(
      OCR.replace('model: rec', 'model: rek')
        .replace('detect.boxes }', 'detct.boxes }')
        .replace('version: 2', 'version: 3'),
    );
    expect(found).toEqual([
      'g/graph.yaml:5:12 There is no model "rek" in the folder.',
      'g/graph.yaml:9:15 There is no file "crops.mjs" beside the graph.',
      'g/graph.yaml:11:34 There is no step "detct"; did you mean "detect".',
      'g/graph.yaml:14:14 Model "det" has no version 3; it has 2.',
    ]);
  });

  it('steps that wait for each other are a problem', () => {
    const found = graph(`
inputs: [x]
steps:
  a: { model: det, inputs: { x: b.y } }
  b: { model: det, inputs: { x: c.y } }
  c: { model: det, inputs: { x: b.y } }
outputs: { y: a.y }
`);
    expect(found).toEqual(['g/graph.yaml:5:3 These steps wait for each other: b, c, b.']);
  });

  it.each([
    [
      'inputs: [x]\nsteps:\n  a: { function: f.mjs#f, inputs: { x: x } }\noutputs: { y: a.y }\ntypes: { y: "FP32[]" }',
      /1:10 No model says what "x" is: give its type, as types: /,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { function: f.mjs#f, inputs: { x: x } }\noutputs: { y: a.y }\ntypes: { x: "FP32[2]" }',
      /4:12 No model says what "y" is: give its type, as types: /,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { model: det, inputs: { x: x } }\noutputs: { y: a.y }\ntypes: { z: "FP32[2]" }',
      /5:10 "z" is neither an input nor an output of the graph\.$/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { model: det, inputs: { x: x } }\noutputs: { y: a.y }\ntypes: { y: "FLOAT[2]" }',
      /5:13 "types\.y" is not written as it must be: a datatype and a shape, as UINT8/,
    ],
    ['inputs: [x', /^g\/graph\.yaml:1:\d+ Flow sequence/],
    ['inputs: [x]\nsteps: {}\noutputs: { y: a.y }', /2:8 "steps" must NOT have fewer than 1 properties\.$/],
    ['inputs: [x]\nsteps:\n  a: { model: det, inputs: { x: x } }', /1:1 The file has no "outputs"\.$/],
    [
      'inputs: [x]\nsteps:\n  a: { model: det, inputs: { x: x }, retries: 3 }\noutputs: { y: a.y }',
      /3:38 There is no setting "retries" here; there are: .*inputs/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { inputs: { x: x } }\noutputs: { y: a.y }',
      /3:3 Step "a" must have either a model or a function\.$/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { model: det, function: f.mjs#f, inputs: { x: x } }\noutputs: { y: a.y }',
      /3:3 Step "a" must have either/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { model: det, inputs: { x: z } }\noutputs: { y: a.y }',
      /3:33 There is no input "z"; did you mean "x"\.$/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { model: det, inputs: { x: x } }\noutputs: { y: a }',
      /4:15 "a" is a step: name an output of it, as a\.OUTPUT\.$/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { model: det, each: x, inputs: { x: x } }\noutputs: { y: a.y }',
      /3:26 "x" is an input: a step runs for each element/,
    ],
    [
      'inputs: [x]\nsteps:\n  x: { model: det, inputs: { x: x } }\noutputs: { y: x.y }',
      /3:3 "x" is an input already/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { function: ../f.mjs#f, inputs: { x: x } }\noutputs: { y: a.y }',
      /3:18 "\.\.\/f\.mjs" is not in the folder of the graph\.$/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { function: f.mjs, inputs: { x: x } }\noutputs: { y: a.y }',
      /3:18 "steps\.a\.function" is not written as it must be: FILE\.mjs#EXPORT\.$/,
    ],
    [
      'inputs: [x]\nsteps:\n  a: { model: det, resource: gpu, inputs: { x: x } }\noutputs: { y: a.y }',
      /3:30 "steps\.a\.resource" must be one of cpu, network\.$/,
    ],
    [
      'inputs: [x]\nsteps:\n  a b: { model: det, inputs: { x: x } }\noutputs: { y: a.y }',
      /3:3 "a b" is no name\.$/,
    ],
    [
      'a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c]',
      /alias/i,
    ],
  ])('the graph setting %j is refused', (text, problem) => {
    expect(graph(text)).toEqual([expect.stringMatching(problem)]);
  });
});

describe('farlight infer check', () => {
  const farlight = (...args: string[]) => spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' });

  it("farlight infer check lists a folder's models and graphs, or its problems, and then fails", () => {
    put({ ...MODELS, 'ocr/graph.yaml': OCR, 'ocr/crops.mjs': '' });
    expect(farlight('infer', 'check', folder)).toMatchObject({
      status: 0,
      stdout: '2 models and 1 graph: nothing is wrong\n',
    });
    put({ 'ocr/graph.yaml': OCR.replace('det\n', 'dett\n') });
    const { status, stdout, stderr } = farlight('infer', 'check', folder);
    expect(status).toBe(1);
    expect(stdout).toMatch(/ocr\/graph\.yaml:13:12: There is no model "dett" in the folder\.\n$/);
    expect(stderr).toBe(`farlight: ${folder} has 1 problem\n`);
    expect(JSON.parse(farlight('infer', 'check', folder, '--json').stdout)).toMatchObject({
      problems: [{ line: 13, column: 12 }],
    });
  });
});
