import { describe, expect, it } from 'vitest';
import type { InferenceError } from '#farlight/infer/service/service.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import { FakeHost, type FakeModel, int32, mapping, numbers } from './fake-lanes.js';
import { type Served, serve } from './served.js';

const NONE = { base: 0, perItem: 0 };
const quick = { weights: 0, memory: NONE, gpu: NONE, wait: { base: 2, perItem: 0 }, load: 0 };

/** A function of this machine. */
function fn(compute: FakeModel['compute']): FakeModel {
  return { inputs: [], outputs: [], costs: quick, compute };
}

/** Cuts a page into rows of two, as many as its first number says. */
const crop = fn(({ page }) => {
  const [count = 0, ...rest] = numbers(page as Tensor);
  return { images: int32('images', [count, 2], rest.slice(0, 2 * count)) };
});

/** The sum of all that it gets. */
const total = fn(({ values }) => ({
  sum: int32('sum', [1], [numbers(values as Tensor).reduce((a, b) => a + b, 0)]),
}));

const OCR = `
inputs: [page]
steps:
  crops: { function: crops.mjs#crop, inputs: { page: page } }
  first: { model: plus, each: crops.images, inputs: { x: crops.images } }
  second: { model: double, each: crops.images, inputs: { x: first.y } }
  sum: { function: crops.mjs#total, inputs: { values: second.y } }
outputs: { rows: second.y, total: sum.sum }
types: { page: 'INT32[-1]', total: 'INT32[1]' }
`;
const files = { 'ocr/graph.yaml': OCR, 'ocr/crops.mjs': 'export {};' };
const functions = { crop, total };
const models = { plus: mapping((x) => x + 1), double: mapping((x) => 2 * x) };

async function answer(
  { engine, time }: Served,
  model: string,
  inputs: readonly Tensor[],
): Promise<Record<string, number[]> | string> {
  try {
    const { outputs } = await time.until(engine.infer({ model, inputs }));
    return Object.fromEntries(outputs.map((each) => [each.name, numbers(each)]));
  } catch (error) {
    return `${(error as InferenceError).code}: ${(error as InferenceError).message}`;
  }
}

/**
 * Fails one load of `plus`, which has two versions: the load of this number, from 0. The other version adds 5, and takes
 * 100 ms.
 */
function failOne({ models }: Served, which: number): void {
  let loads = 0;
  const plus = mapping((x) => x + 5, { load: 100 });
  Object.defineProperty(models, 'plus', { get: () => (loads++ === which ? undefined : plus) });
}

const page = (...rows: number[][]): Tensor =>
  int32('page', [1 + 2 * rows.length], [rows.length, ...rows.flat()]);

describe('a graph', () => {
  it('a graph joins models of one host with a model over several hosts, whose values never stay on a lane', async () => {
    const graph = `
inputs: [x]
steps:
  first: { model: plus, inputs: { x: x } }
  second: { model: double, inputs: { x: first.y } }
  third: { model: plus, inputs: { x: second.y } }
outputs: { y: third.y }
`;
    const several: FakeHost[] = [];
    const served = await serve(models, {
      files: { 'g/graph.yaml': graph, 'double/config.yaml': 'shard: { hosts: 2 }' },
      more: (time) => {
        several.push(new FakeHost(time, models, { name: 'several hosts', resource: 'shards' }));
        return several;
      },
    });
    expect(await answer(served, 'g', [int32('x', [1, 2], [1, 2])])).toEqual({ y: [5, 7] });
    expect(served.host.runs.map(({ model }) => model)).toEqual(['plus@1', 'plus@1']);
    const [host] = several as [FakeHost];
    expect(host.runs.at(-1)?.model).toBe('double@1');
    // Each request of a model over several hosts is a run of its own.
    host.runs.splice(0);
    const rows = int32('x', [3, 2], [1, 2, 3, 4, 5, 6]);
    expect(await answer(served, 'double', [rows])).toEqual({ y: [2, 4, 6, 8, 10, 12] });
    expect(host.runs).toHaveLength(1);
    for (const lane of [...host.open, ...served.host.open]) expect(lane.kept.size).toBe(0);
  });

  it('a step runs once for each element, and its results are joined in order', async () => {
    const served = await serve(models, { files, functions });
    expect(await answer(served, 'ocr', [page([1, 2], [3, 4], [5, 6])])).toEqual({
      rows: [4, 6, 8, 10, 12, 14],
      total: [54],
    });
    expect(served.host.runs.map(({ batch }) => batch)).toEqual([3, 3]);
  });

  it('a graph answers if a step has no elements', async () => {
    const served = await serve(models, { files, functions });
    expect(await answer(served, 'ocr', [page()])).toEqual({ rows: [], total: [0] });
    expect(served.host.runs).toEqual([]);
  });

  it('steps of several requests run together', async () => {
    const served = await serve(models, { files, functions });
    const asked = [1, 2, 3].map((x) => answer(served, 'ocr', [page([x, x], [10 * x, 0])]));
    expect(await Promise.all(asked)).toEqual(
      [1, 2, 3].map((x) => ({
        rows: [2 * x + 2, 2 * x + 2, 20 * x + 2, 2],
        total: [4 * x + 4 + 20 * x + 4],
      })),
    );
    expect(Math.max(...served.host.runs.map(({ batch }) => batch))).toBeGreaterThan(2);
  });

  it('a value that only models take stays on the lane until they are done', async () => {
    const chain = `
inputs: [x]
steps:
  first: { model: plus, inputs: { x: x } }
  second: { model: double, inputs: { x: first.y } }
outputs: { y: second.y }
`;
    const served = await serve(models, { files: { 'chain/graph.yaml': chain } });
    let most = 0;
    served.models.double = {
      ...models.double,
      compute: (inputs) => {
        most = Math.max(most, ...[...served.host.open].map(({ kept }) => kept.size));
        return models.double.compute(inputs);
      },
    };
    await served.time.until(served.engine.load('double'));
    expect(await answer(served, 'chain', [int32('x', [2, 2], [1, 2, 3, 4])])).toEqual({ y: [4, 6, 8, 10] });
    expect(most).toBe(1);
    await served.time.pass(1);
    expect([...served.host.open].map(({ kept }) => kept.size)).toEqual([0]);
    expect(served.engine.metadata('chain')).toMatchObject({
      platform: 'farlight_graph',
      inputs: [{ name: 'x', datatype: 'INT32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'INT32', shape: [-1, 2] }],
    });
  });

  it('a kept value goes to another lane if the next step runs there', async () => {
    const fork = `
inputs: [x]
steps:
  first: { model: plus, inputs: { x: x } }
  left: { model: slow, inputs: { x: first.y } }
  right: { model: double, inputs: { x: first.y } }
outputs: { left: left.y, right: right.y }
`;
    const slow = mapping((x) => -x, { wait: { base: 500, perItem: 0 }, gpu: { base: 1, perItem: 0 } });
    const served = await serve({ ...models, slow }, { files: { 'fork/graph.yaml': fork }, lanes: 2 });
    expect(await answer(served, 'fork', [int32('x', [1, 2], [1, 2])])).toEqual({
      left: [-2, -3],
      right: [4, 6],
    });
    expect(new Set(served.host.runs.map(({ lane }) => lane)).size).toBe(2);
    await served.time.pass(1);
    expect([...served.host.open].map(({ kept }) => kept.size)).toEqual([0, 0]);
  });

  it('a request begins again if a lane with its values is lost', async () => {
    const chain = `
inputs: [x]
steps:
  first: { model: plus, inputs: { x: x } }
  second: { model: slow, inputs: { x: first.y } }
outputs: { y: second.y }
`;
    const slow = mapping((x) => -x, { gpu: { base: 500, perItem: 0 } });
    const served = await serve({ ...models, slow }, { files: { 'chain/graph.yaml': chain } });
    const asked = served.engine.infer({ model: 'chain', inputs: [int32('x', [1, 2], [1, 2])] });
    await served.time.pass(100);
    for (const lane of [...served.host.open]) lane.kill();
    expect((await served.time.until(asked)).outputs.map(numbers)).toEqual([[-2, -3]]);
    expect(served.host.runs.length).toBe(4);
  });

  it('each element of one value gets the whole of another value', async () => {
    const weigh = `
inputs: [page, weight]
steps:
  crops: { function: crops.mjs#crop, inputs: { page: page } }
  weigh: { model: weigh, each: crops.images, inputs: { x: crops.images, w: weight } }
outputs: { y: weigh.y }
types: { page: 'INT32[-1]' }
`;
    const model: FakeModel = {
      ...mapping((x) => x),
      inputs: ['x', 'w'].map((name) => ({ name, datatype: 'INT32' as const, shape: [-1, 2] })),
      compute: ({ x, w }) => {
        const weights = numbers(w as Tensor);
        return {
          y: int32(
            'y',
            (x as Tensor).shape,
            numbers(x as Tensor).map((each, at) => each * (weights[at] as number)),
          ),
        };
      },
    };
    const served = await serve(
      { weigh: model },
      { files: { 'w/graph.yaml': weigh, 'w/crops.mjs': '' }, functions },
    );
    const inputs = [page([1, 2], [3, 4]), int32('weight', [1, 2], [10, 100])];
    expect(await answer(served, 'w', inputs)).toEqual({ y: [10, 200, 30, 400] });
    const twice = [page([1, 2]), int32('weight', [2, 2], [1, 1, 1, 1])];
    expect(await answer(served, 'w', twice)).toMatch(/^invalid: Input "w" of step "weigh" of w must have/);
  });

  it('a function that returns another type than its graph says fails with a sentence', async () => {
    const wrong = { ...functions, total: fn(() => ({ sum: int32('sum', [2], [1, 2]) })) };
    const served = await serve(models, { files, functions: wrong });
    expect(await answer(served, 'ocr', [page([1, 2])])).toBe(
      'internal: Output "total" of ocr must be INT32[1], and is INT32[2].',
    );
    const images = fn(() => ({ images: int32('images', [1, 3], [1, 2, 3]) }));
    const other = await serve(models, { files, functions: { ...functions, crop: images } });
    expect(await answer(other, 'ocr', [page([1, 2])])).toBe(
      'invalid: Input "x" of step "first" of ocr must have the type INT32[-1,2], and gets INT32[1,3].',
    );
    const nothing = await serve(models, { files, functions: { ...functions, crop: fn(() => ({})) } });
    expect(await answer(nothing, 'ocr', [page([1, 2])])).toMatch(
      /^invalid: function crops.mjs#crop of graph ocr: It has no output "images"\.$/,
    );
  });

  it('a graph tells its largest batch, and takes no more items', async () => {
    const graph = `
inputs: [page]
steps: { whole: { function: crops.mjs#whole, inputs: { page: page } } }
outputs: { y: whole.y }
types: { page: 'INT32[-1,1]', y: 'INT32[-1,1]' }
maxBatch: 2
`;
    const whole = fn(({ page }) => ({ y: { ...(page as Tensor), name: 'y' } }));
    const batches = { 'batches/graph.yaml': graph, 'batches/crops.mjs': 'export {};' };
    const served = await serve(models, { files: batches, functions: { whole } });
    expect(served.engine.configuration('batches').maxBatchSize).toBe(2);
    const of = (...items: number[]) => answer(served, 'batches', [int32('page', [items.length, 1], items)]);
    expect(await of(5, 6)).toEqual({ y: [5, 6] });
    expect(await of(5, 6, 7)).toBe('invalid: batches takes 1 to 2 items, and the request has 3.');
  });

  it('a graph with a largest batch is not served if a value has no dimension for it', async () => {
    const graph = OCR.replace('types:', 'maxBatch: 2\ntypes:');
    const served = await serve(models, { files: { ...files, 'ocr/graph.yaml': graph }, functions });
    expect(await answer(served, 'ocr', [page([1, 2])])).toMatch(/"total" has no first dimension/);
  });

  it('a graph that does not fit its models is not served', async () => {
    const bad = OCR.replace('x: first.y', 'z: first.y').replace('{ rows: second.y,', '{');
    const served = await serve(models, { files: { ...files, 'ocr/graph.yaml': bad }, functions });
    expect(await answer(served, 'ocr', [page([1, 2])])).toBe(
      'unavailable: "ocr" version 1 cannot answer: Step "second" has no input "x", which model double version 1 needs.',
    );
  });

  it('a graph goes on with the version of a model that was replaced, beside one that could not be', async () => {
    const graph = `
inputs: [x]
steps: { only: { model: plus, version: 1, inputs: { x: x } } }
outputs: { y: only.y }
`;
    const served = await serve(models, {
      files: { 'g/graph.yaml': graph, 'plus/2/model.onnx': 'x', 'plus/config.yaml': 'versions: all' },
    });
    failOne(served, 1);
    await expect(served.time.until(served.engine.load('plus'))).rejects.toThrow('is no model');
    expect(await answer(served, 'g', [int32('x', [1, 2], [1, 2])])).toEqual({ y: [6, 7] });
  });

  it('an unloaded model does not come back, although a load of it that failed in part still went on', async () => {
    const served = await serve(models, {
      files: { 'plus/2/model.onnx': 'x', 'plus/config.yaml': 'versions: all' },
      lanes: 2,
    });
    failOne(served, 0);
    await expect(served.time.until(served.engine.load('plus'))).rejects.toThrow('is no model');
    await served.time.until(served.engine.unload('plus'));
    await served.time.pass(1000);
    expect(served.engine.index().filter(({ name }) => name === 'plus')).toMatchObject([
      { state: 'UNAVAILABLE' },
      { state: 'UNAVAILABLE' },
    ]);
  });

  it('a graph answers if a chain of functions has no elements', async () => {
    const graph = `
inputs: [page]
steps:
  crops: { function: crops.mjs#crop, inputs: { page: page } }
  even: { function: crops.mjs#even, each: crops.images, inputs: { image: crops.images } }
  read: { model: plus, each: crops.images, inputs: { x: even.image } }
outputs: { y: read.y }
types: { page: 'INT32[-1]' }
`;
    const even = fn(({ image }) => ({ image: { ...(image as Tensor), name: 'image' } }));
    const served = await serve(models, {
      files: { 'g/graph.yaml': graph, 'g/crops.mjs': '' },
      functions: { ...functions, even },
    });
    expect(await answer(served, 'g', [page([1, 2], [3, 4])])).toEqual({ y: [2, 3, 4, 5] });
    expect(await answer(served, 'g', [page()])).toEqual({ y: [] });
  });

  it('a step whose outputs have no dimension gives one number for each element', async () => {
    const graph = `
inputs: [page]
steps:
  crops: { function: crops.mjs#crop, inputs: { page: page } }
  score: { function: crops.mjs#score, each: crops.images, inputs: { image: crops.images } }
  sum: { function: crops.mjs#total, inputs: { values: score.of } }
outputs: { scores: score.of, total: sum.sum }
types: { page: 'INT32[-1]', scores: 'INT32[-1]', total: 'INT32[1]' }
`;
    const score = fn(({ image }) => ({
      of: int32('of', [], [numbers(image as Tensor).reduce((a, b) => a + b, 0)]),
    }));
    const served = await serve(models, {
      files: { 'g/graph.yaml': graph, 'g/crops.mjs': '' },
      functions: { ...functions, score },
    });
    expect(await answer(served, 'g', [page([1, 2], [3, 4])])).toEqual({ scores: [3, 7], total: [10] });
    expect(await answer(served, 'g', [page([1, 2])])).toEqual({ scores: [3], total: [3] });
  });

  it('a folder that was a model, and is a graph now, answers as the graph', async () => {
    const served = await serve(models, {
      files: { 'plus/2/model.onnx': 'x', 'plus/config.yaml': 'versions: all' },
    });
    expect(served.engine.metadata('plus')).toMatchObject({ versions: ['1', '2'] });
    served.put({
      'plus/graph.yaml': `
inputs: [x]
steps: { only: { model: double, inputs: { x: x } } }
outputs: { twice: only.y }
`,
    });
    await served.time.until(served.engine.load('plus'));
    expect(await answer(served, 'plus', [int32('x', [1, 2], [1, 2])])).toEqual({ twice: [2, 4] });
    expect(served.engine.metadata('plus').versions).toEqual(['1']);
    await served.time.pass(1);
    expect([...served.host.open].map(({ loaded }) => loaded)).toEqual([1]);
  });

  it('a batch that a request cannot set is refused, and nothing is loaded again', async () => {
    const served = await serve(models, { files, functions });
    await expect(served.time.until(served.engine.load('ocr', { maxBatchSize: 4 }))).rejects.toMatchObject({
      code: 'invalid',
      message: '"ocr" is a graph, whose graph.yaml has its maxBatch: load it without max_batch_size.',
    });
    expect(await answer(served, 'ocr', [page([1, 2])])).toMatchObject({ rows: [4, 6] });
  });

  it('a graph is not served without its models, and is served again when they are', async () => {
    const served = await serve(models, { files, functions });
    await served.time.until(served.engine.unload('double'));
    expect(await answer(served, 'ocr', [page([1, 2])])).toBe(
      'unavailable: "ocr" version 1 cannot answer: "double" version 1 cannot answer: It was unloaded.',
    );
    await served.time.until(served.engine.load('double'));
    expect(await answer(served, 'ocr', [page([1, 2])])).toMatchObject({ rows: [4, 6] });
    await served.time.until(served.engine.unload('ocr'));
    expect(await answer(served, 'ocr', [page([1, 2])])).toMatch(/It was unloaded\.$/);
    await served.time.until(served.engine.load('ocr'));
    expect(await answer(served, 'ocr', [page([1, 2])])).toMatchObject({ rows: [4, 6] });
    await served.time.pass(1);
    expect([...served.functions.open].map(({ loaded }) => loaded)).toEqual([2]);
  });
});

describe('the labels of classes', () => {
  const labels = (output: string) => ({
    'double/config.yaml': `labels: { ${output}: names.txt }`,
    'double/names.txt': 'cat\ndog\n',
  });

  it("the labels of a model also belong to the graph's output that is the model's", async () => {
    const { engine } = await serve(models, { files: { ...files, ...labels('y') }, functions });
    expect(engine.configuration('double').labels).toEqual(new Map([['y', ['cat', 'dog']]]));
    expect(engine.configuration('ocr').labels).toEqual(new Map([['rows', ['cat', 'dog']]]));
    expect(engine.configuration('plus').labels).toEqual(new Map());
  });

  it('a model with labels for a missing output is not served', async () => {
    const served = await serve(models, { files: { ...files, ...labels('z') }, functions });
    const [{ reason } = { reason: '' }] = served.engine.index().filter(({ name }) => name === 'double');
    expect(reason).toBe('config.yaml has labels of "z", and the model\'s outputs are y.');
  });
});
