import { describe, expect, it } from 'vitest';
import type { InferenceError, InferenceRequest, InferenceResult } from '#farlight/infer/service/service.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import { FakeHost, type FakeModel, int32, mapping, numbers } from './fake-lanes.js';
import { begin, type Served, serve } from './served.js';

const double = mapping((x) => 2 * x);

/** Asks a model of one input for one row of two numbers, or for a tensor. */
function ask(
  { engine }: Served,
  x: Tensor | number,
  { model = 'double', signal, ...more }: Partial<InferenceRequest> & { signal?: AbortSignal } = {},
): Promise<InferenceResult> {
  const tensor = typeof x === 'number' ? int32('x', [1, 2], [x, -x]) : x;
  return engine.infer({ model, inputs: [tensor], ...more }, signal);
}

/** The numbers that answer a request, or why it has none. */
async function outcome(promise: Promise<InferenceResult>): Promise<number[] | string> {
  try {
    return (await promise).outputs.flatMap(numbers);
  } catch (error) {
    const { code, message } = error as InferenceError;
    return `${code}: ${message}`;
  }
}

const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
    return 'done';
  } catch (error) {
    return (error as InferenceError).code;
  }
};

const batches = ({ host }: Served): number[] => host.runs.map(({ batch }) => batch);

describe('an engine whose hosts change', () => {
  it("uses a host that joins, and runs a removed host's items elsewhere", async () => {
    const served = await serve({ double });
    const { engine, time, models } = served;
    const second = new FakeHost(time, models, { name: 'second', lanes: 1, bytes: 1_000_000 });
    engine.addHost(second);
    expect(engine.state().hosts.map(({ name }) => name)).toContain('second');
    const asked = Promise.all(Array.from({ length: 20 }, (_, x) => ask(served, x)));
    const removed = engine.removeHost('gpu');
    const answers = await time.until(asked);
    await time.until(removed);
    expect(
      answers.flatMap(({ outputs }) => outputs.flatMap(numbers)).filter((_, at) => at % 2 === 0),
    ).toEqual(Array.from({ length: 20 }, (_, x) => 2 * x));
    expect(second.runs.length).toBeGreaterThan(0);
    expect(served.host.open.size).toBe(0);
    const { hosts, lanes } = engine.state();
    expect([hosts.map(({ name }) => name), lanes.map(({ host }) => host)]).toEqual([
      ['here', 'second'],
      ['here', 'second'],
    ]);
  });
});

describe('a model', () => {
  it('an answer has the outputs, the version and the id of the request', async () => {
    const served = await serve({ double });
    const answer = await served.time.until(ask(served, int32('x', [2, 2], [1, 2, 3, 4]), { id: 'mine' }));
    expect(answer).toMatchObject({ model: 'double', version: '1', id: 'mine' });
    expect(answer.outputs.map(({ name, shape }) => [name, shape])).toEqual([['y', [2, 2]]]);
    expect(answer.outputs.map(numbers)).toEqual([[2, 4, 6, 8]]);
  });

  it('runs the items of several requests together, and gives each request its own rows', async () => {
    const served = await serve({ double });
    const asked = [1, 2, 3].map((x) => ask(served, int32('x', [2, 2], [x, x, 10 * x, 10 * x])));
    const answers = await served.time.until(Promise.all(asked));
    expect(batches(served)).toEqual([6]);
    expect(answers.flatMap(({ outputs }) => outputs.map(numbers))).toEqual([
      [2, 2, 20, 20],
      [4, 4, 40, 40],
      [6, 6, 60, 60],
    ]);
  });

  it('runs requests together that one turn of the event loop reads, one after the other', async () => {
    const served = await serve({ double });
    const asked: Promise<InferenceResult>[] = [];
    for (const x of [1, 2, 3]) {
      asked.push(ask(served, x));
      // Each is read once the promises of the one before have settled, as from connections of their own.
      for (let settled = 0; settled < 20; settled += 1) await undefined;
    }
    await served.time.until(Promise.all(asked));
    expect(batches(served)).toEqual([3]);
  });

  it('splits a request that has more items than a batch may', async () => {
    const served = await serve({ double }, { files: { 'double/config.yaml': 'maxBatch: 2' } });
    const x = Array.from({ length: 10 }, (_, index) => index);
    const answer = await served.time.until(ask(served, int32('x', [5, 2], x)));
    expect(batches(served)).toEqual([2, 2, 1]);
    expect(answer.outputs.map(numbers)).toEqual([x.map((each) => 2 * each)]);
  });

  it('does not run items of unlike shape together', async () => {
    const served = await serve({ any: mapping((x) => x + 1, {}, [-1, -1]) });
    const of = (columns: number) =>
      ask(served, int32('x', [1, columns], Array(columns).fill(1)), { model: 'any' });
    await served.time.until(Promise.all([of(2), of(3), of(2), of(3)]));
    const shapes = new Set(served.host.runs.map(({ batch }) => batch));
    expect(served.host.runs.reduce((sum, { batch }) => sum + batch, 0)).toBe(4);
    expect(Math.max(...shapes)).toBeLessThanOrEqual(2);
  });

  it('batches of a new shape grow from one', async () => {
    const served = await serve({ any: mapping((x) => x + 1, {}, [-1, -1]) });
    const asked = Array.from({ length: 31 }, () => ask(served, 1, { model: 'any' }));
    await served.time.until(Promise.all(asked));
    expect(batches(served)[0]).toBe(1);
    expect(
      batches(served).every((batch, run, all) => run === 0 || batch <= 2 * Math.max(...all.slice(0, run))),
    ).toBe(true);
    expect(Math.max(...batches(served))).toBeGreaterThan(4);
  });

  it('a model with a fixed first dimension takes one request at a time', async () => {
    const served = await serve({ fixed: mapping((x) => -x, {}, [2, 2]) });
    const asked = [1, 2].map((x) => ask(served, int32('x', [2, 2], [x, x, x, x]), { model: 'fixed' }));
    const answers = await served.time.until(Promise.all(asked));
    expect(batches(served)).toEqual([1, 1]);
    expect(answers.flatMap(({ outputs }) => outputs.map(numbers))).toEqual([
      [-1, -1, -1, -1],
      [-2, -2, -2, -2],
    ]);
  });

  it('a model with maxBatch: 0 in its config.yaml takes one request at a time', async () => {
    const sum: FakeModel = {
      ...mapping(() => 0),
      compute: ({ x }) => ({ y: int32('y', [1, 2], [numbers(x as Tensor).reduce((a, b) => a + b, 0), 0]) }),
    };
    const served = await serve({ sum }, { files: { 'sum/config.yaml': 'maxBatch: 0' } });
    const asked = [
      ask(served, int32('x', [2, 2], [1, 2, 3, 4]), { model: 'sum' }),
      ask(served, 5, { model: 'sum' }),
    ];
    expect(await served.time.until(Promise.all(asked.map(outcome)))).toEqual([
      [10, 0],
      [0, 0],
    ]);
  });

  it('an answer has only the outputs that the request names', async () => {
    const both: FakeModel = {
      ...double,
      outputs: ['plus', 'minus'].map((name) => ({ name, datatype: 'INT32' as const, shape: [-1, 2] })),
      compute: ({ x }) => ({
        plus: { ...(x as Tensor), name: 'plus' },
        minus: int32(
          'minus',
          (x as Tensor).shape,
          numbers(x as Tensor).map((each) => -each),
        ),
      }),
    };
    const served = await serve({ both });
    const asked = [
      ask(served, 1, { model: 'both', outputs: ['minus'] }),
      ask(served, 2, { model: 'both', outputs: ['plus'] }),
      ask(served, 3, { model: 'both' }),
    ];
    const answers = await served.time.until(Promise.all(asked));
    expect(answers.map(({ outputs }) => outputs.map(({ name }) => name))).toEqual([
      ['minus'],
      ['plus'],
      ['plus', 'minus'],
    ]);
    expect(answers.map(({ outputs }) => outputs.map(numbers))).toEqual([
      [[-1, 1]],
      [[2, -2]],
      [
        [3, -3],
        [-3, 3],
      ],
    ]);
  });

  it('a model is learned when it is loaded, with batches that memory has room for', async () => {
    const memory = { base: 20, perItem: 20 };
    const served = begin({ double: mapping((x) => 2 * x, { memory, weights: 10 }) }, { bytes: 200 });
    await served.time.until(served.engine.loaded);
    // Of 190 bytes, one item with its 40 has four; then the line is known, which has room for 8.
    expect(batches(served).slice(0, 6)).toEqual([1, 1, 2, 2, 4, 4]);
    expect(served.host.peak).toBeLessThanOrEqual(200);
    expect(served.engine.statistics('double')).toMatchObject([{ executionCount: 0, inferenceCount: 0 }]);
  });
});

describe('a request that is wrong', () => {
  const wrong: [string, Partial<InferenceRequest>, string][] = [
    ['of an unknown model', { model: 'other' }, 'not-found: There is no model or graph "other".'],
    ['of an unknown version', { version: '7' }, 'not-found: "double" has no version 7; it has 1.'],
    ['without an input', { inputs: [] }, 'invalid: Input "x" of double is missing.'],
    [
      'with an input twice',
      { inputs: [int32('x', [1, 2], [1, 2]), int32('x', [1, 2], [1, 2])] },
      'invalid: Input "x" is given twice.',
    ],
    [
      'with an unknown input',
      { inputs: [int32('x', [1, 2], [1, 2]), int32('z', [1], [1])] },
      'invalid: There is no input "z"; double has x.',
    ],
    [
      'of another shape',
      { inputs: [int32('x', [1, 3], [1, 2, 3])] },
      'invalid: Input "x" must be INT32[-1,2], and is INT32[1,3].',
    ],
    [
      'of another datatype',
      { inputs: [{ ...int32('x', [1, 2], [1, 2]), datatype: 'FP32' }] },
      'invalid: Input "x" must be INT32[-1,2], and is FP32[1,2].',
    ],
    [
      'with too few bytes',
      { inputs: [int32('x', [2, 2], [1, 2, 3])] },
      'invalid: Input "x" of INT32[2,2] must have 16 bytes, and has 12.',
    ],
    [
      'with a shape that no memory has',
      { inputs: [{ ...int32('x', [], []), shape: [2 ** 52, 2] }] },
      `invalid: Input "x" of INT32[${2 ** 52},2] must have ${2 ** 55} bytes, and has 0.`,
    ],
    [
      'with a negative length',
      { inputs: [{ ...int32('x', [], []), shape: [-1, 2] }] },
      'invalid: The shape of input "x" must be at most 16 whole numbers, 0 or more each.',
    ],
    ['with an unknown output', { outputs: ['z'] }, 'invalid: There is no output "z"; double has y.'],
    ['with an output twice', { outputs: ['y', 'y'] }, 'invalid: Output "y" is asked for twice.'],
    ['with no time', { timeout: -1 }, 'invalid: The timeout must be above 0 ms.'],
    ['with a broken priority', { priority: 1.5 }, 'invalid: The priority must be a whole number, 0 or more.'],
  ];

  it.each(wrong)('a wrong request is refused in one sentence: %s', async (_, request, message) => {
    const served = await serve({ double });
    const whole = { model: 'double', inputs: [int32('x', [1, 2], [1, 2])], ...request };
    expect(await served.time.until(outcome(served.engine.infer(whole)))).toBe(message);
    expect(served.host.runs).toEqual([]);
  });

  it('a request that can never fit is refused at once, with the figure', async () => {
    const memory = { base: 0, perItem: 100 };
    const served = await serve({ any: mapping((x) => x, { memory }, [-1, -1]), double }, { bytes: 50 });
    expect(await served.time.until(outcome(ask(served, 1, { model: 'any' })))).toMatch(/^too-large: /);
    // The first run has said what it takes.
    expect(await served.time.until(outcome(ask(served, 1, { model: 'any' })))).toMatch(
      /^too-large: .*needs 51 bytes/,
    );
    expect(await served.time.until(outcome(ask(served, 1)))).toEqual([2, -2]);
  });

  it('a request that is refused at once counts as one without a result', async () => {
    const memory = { base: 0, perItem: 100 };
    const served = await serve({ large: mapping((x) => x, { memory }) }, { bytes: 50 });
    expect(await served.time.until(outcome(ask(served, 1, { model: 'large' })))).toMatch(/^too-large: /);
    expect(served.engine.statistics('large')).toMatchObject([{ success: { count: 0 }, fail: { count: 1 } }]);
  });
});

describe('memory', () => {
  const hungry = (perItem: number): FakeModel =>
    mapping((x) => 2 * x, { memory: { base: 0, perItem }, gpu: { base: 100, perItem: 1 } });

  it('the free memory at its start bounds a batch', async () => {
    const served = await serve({ double: hungry(10) }, { bytes: 80 });
    await served.time.until(Promise.all(Array.from({ length: 8 }, (_, x) => ask(served, x))));
    served.host.setBytes(30);
    await served.time.until(Promise.all(Array.from({ length: 6 }, (_, x) => ask(served, x))));
    expect(batches(served)).toEqual([8, 3, 3]);
  });

  it('a run that is out of memory runs again in halves, and the model learns from it', async () => {
    // More than a line says: the memory of a batch grows with its square.
    const model = hungry(0);
    const memory = { base: 0, perItem: 0 };
    const costs = { ...model.costs, memory };
    const served = await serve({ double: { ...model, costs } }, { bytes: 1000 });
    memory.perItem = 100;
    const asked = Array.from({ length: 16 }, (_, x) => outcome(ask(served, x + 1)));
    expect(await served.time.until(Promise.all(asked))).toEqual(
      Array.from({ length: 16 }, (_, x) => [2 * x + 2, -2 * x - 2]),
    );
    expect(batches(served).slice(0, 3)).toEqual([16, 8, 8]);
    const before = served.host.runs.length;
    await served.time.until(Promise.all(Array.from({ length: 16 }, (_, x) => ask(served, x))));
    expect(Math.max(...batches(served).slice(before))).toBeLessThanOrEqual(10);
  });

  it('a run reserves its memory; if others have it, a smaller one runs, and the model learns nothing from that', async () => {
    const served = await serve({ double: hungry(10) }, { bytes: 1000 });
    served.host.taken = 955;
    served.host.reserves.splice(0);
    const answers = Array.from({ length: 8 }, (_, x) => outcome(ask(served, x + 1)));
    expect(await served.time.until(Promise.all(answers))).toEqual(
      Array.from({ length: 8 }, (_, x) => [2 * x + 2, -2 * x - 2]),
    );
    expect(served.host.reserves[0]).toBe(80);
    expect(Math.max(...batches(served))).toBeLessThanOrEqual(4);
    served.host.taken = 0;
    const before = served.host.runs.length;
    await served.time.until(Promise.all(Array.from({ length: 8 }, (_, x) => ask(served, x))));
    expect(batches(served).slice(before)).toEqual([8]);
  });

  it('idle models are unloaded for one that runs', async () => {
    const weights = 60;
    const served = await serve(
      { a: mapping((x) => x, { weights }), b: mapping((x) => -x, { weights }) },
      { bytes: 100 },
    );
    expect(await served.time.until(outcome(ask(served, 1, { model: 'a' })))).toEqual([1, -1]);
    expect(await served.time.until(outcome(ask(served, 1, { model: 'b' })))).toEqual([-1, 1]);
    expect(await served.time.until(outcome(ask(served, 2, { model: 'a' })))).toEqual([2, -2]);
    expect(served.host.peak).toBeLessThanOrEqual(100);
  });
});

describe('overload', () => {
  it('refuses a request if too many wait, and says when to come again', async () => {
    const slow = mapping((x) => 2 * x, { gpu: { base: 0, perItem: 1500 } });
    const served = await serve({ double: slow }, { maxRequests: 3 });
    const asked = [1, 2, 3].map((x) => ask(served, x));
    const refused = (await ask(served, 4).catch((error) => error)) as InferenceError;
    expect(refused.code).toBe('overloaded');
    expect(refused.message).toMatch(/^Too much waits: 3 requests wait already. Try again in \d+ s\.$/);
    expect(refused.retryAfter).toBeGreaterThanOrEqual(1);
    await served.time.until(Promise.all(asked));
    expect(await served.time.until(codeOf(ask(served, 4)))).toBe('done');
  });

  it('refuses a request if the waiting ones have too many bytes', async () => {
    const served = await serve({ double }, { maxBytes: 20 });
    const asked = [1, 2].map((x) => ask(served, x));
    expect(await codeOf(ask(served, 3))).toBe('overloaded');
    await served.time.until(Promise.all(asked));
    // One that is alone is taken whatever it has.
    expect(await served.time.until(codeOf(ask(served, int32('x', [4, 2], Array(8).fill(1)))))).toBe('done');
  });

  it('a cancelled or late request is not computed', async () => {
    const served = await serve({ double: mapping((x) => 2 * x, { gpu: { base: 100, perItem: 0 } }) });
    const first = ask(served, 1);
    await served.time.pass(1);
    const control = new AbortController();
    const cancelled = codeOf(ask(served, 2, { signal: control.signal }));
    const expired = codeOf(ask(served, 3, { timeout: 50 }));
    const last = ask(served, 4, { timeout: 500 });
    await served.time.pass(1);
    control.abort();
    expect(await cancelled).toBe('cancelled');
    expect(await served.time.until(expired)).toBe('expired');
    expect(served.time.now()).toBeLessThan(20_000);
    await served.time.until(Promise.all([first, last]));
    expect(batches(served)).toEqual([1, 1]);
    expect(await codeOf(ask(served, 5, { signal: AbortSignal.abort() }))).toBe('cancelled');
  });

  it('10,000 cancelled requests leave nothing behind', { timeout: 120_000 }, async () => {
    const served = await serve({ double: mapping((x) => 2 * x, { gpu: { base: 100, perItem: 0 } }) });
    const first = ask(served, 1);
    await served.time.pass(1);
    const controls = Array.from({ length: 9_999 }, () => new AbortController());
    const all = controls.map(({ signal }, x) => codeOf(ask(served, x, { signal })));
    await served.time.pass(1);
    for (const control of controls) control.abort();
    expect(new Set(await Promise.all(all))).toEqual(new Set(['cancelled']));
    expect(served.engine.requests).toBe(1);
    await served.time.until(first);
    expect(served.engine.requests).toBe(0);
    expect(served.engine.statistics('double')).toMatchObject([{ inferenceCount: 1, fail: { count: 9_999 } }]);
  });

  it('a request of a higher priority goes first', async () => {
    const served = await serve(
      { double: mapping((x) => 2 * x) },
      { files: { 'double/config.yaml': 'maxBatch: 1' } },
    );
    const order: number[] = [];
    const asked = [
      ask(served, 0),
      ...[1, 2, 3].map((x) => ask(served, x, { priority: 8 })),
      ask(served, 4, { priority: 1 }),
    ];
    for (const [x, each] of asked.entries()) void each.then(() => order.push(x));
    await served.time.until(Promise.all(asked));
    expect(order).toEqual([4, 0, 1, 2, 3]);
  });
});

describe('faults', () => {
  it('the items of a lost lane run again, and each request is answered once', async () => {
    const served = await serve(
      { double: mapping((x) => 2 * x, { gpu: { base: 50, perItem: 0 } }) },
      { lanes: 2 },
    );
    const asked = Array.from({ length: 8 }, (_, x) => outcome(ask(served, x + 1)));
    await served.time.pass(10);
    for (const lane of [...served.host.open]) lane.kill();
    expect(await served.time.until(Promise.all(asked))).toEqual(
      Array.from({ length: 8 }, (_, x) => [2 * x + 2, -2 * x - 2]),
    );
  });

  it('refuses the waiting requests if no lane opens any more, and serves again when one does', async () => {
    const served = await serve({ double }, { laneLimit: 5_000 });
    served.host.isDown = true;
    const asked = outcome(ask(served, 1));
    for (const lane of [...served.host.open]) lane.kill('The line broke.');
    await served.time.pass(1);
    expect(served.engine.ready).toBe(false);
    expect(await served.time.until(asked)).toBe('unavailable: No lane for gpu is open: The host is down.');
    expect(await outcome(ask(served, 2))).toBe('unavailable: No lane for gpu is open: The host is down.');
    served.host.isDown = false;
    await served.time.pass(20_000);
    expect(served.engine.ready).toBe(true);
    expect(await served.time.until(outcome(ask(served, 3)))).toEqual([6, -6]);
  });

  it('gives up a lane that does not answer', async () => {
    const costs = { base: 10, perItem: 0 };
    const served = await serve({ double: mapping((x) => 2 * x, { gpu: costs }) }, { callLimit: 1_000 });
    costs.base = 1e9;
    const asked = outcome(ask(served, 1));
    await served.time.pass(500);
    costs.base = 10;
    served.host.gpuFreeAt = 0;
    expect(await served.time.until(asked)).toEqual([2, -2]);
    expect(served.host.runs.length).toBe(2);
  });

  it('a file that was changed is not run when a lane opens again, until its model is loaded again', async () => {
    const served = await serve({ double: mapping((x) => 2 * x) });
    served.models.double = mapping((x) => 3 * x);
    served.host.version = 'second';
    expect(await served.time.until(outcome(ask(served, 1)))).toEqual([2, -2]);
    for (const lane of [...served.host.open]) lane.kill();
    await served.time.pass(1000);
    served.host.loads = 0;
    const asked = [1, 2, 3, 4].map((x) => outcome(ask(served, x)));
    expect(new Set(await served.time.until(Promise.all(asked)))).toEqual(
      new Set(['unavailable: model double version 1: model.onnx has changed.']),
    );
    // The four are not run by themselves for it.
    expect(served.host.loads).toBe(1);
    await served.time.until(served.engine.load('double'));
    expect(await served.time.until(outcome(ask(served, 1)))).toEqual([3, -3]);
  });

  it('an item that makes its model fail fails alone', async () => {
    const picky = mapping((x) => {
      if (x === 13) throw new Error('13 is not to its liking.');
      return x;
    });
    const served = await serve({ picky });
    const asked = [11, 12, 13, 14].map((x) => outcome(ask(served, x, { model: 'picky' })));
    expect(await served.time.until(Promise.all(asked))).toEqual([
      [11, -11],
      [12, -12],
      'invalid: model picky version 1: 13 is not to its liking.',
      [14, -14],
    ]);
  });

  it("a request that fails later does not get the reason of another's failure", async () => {
    const picky = mapping(
      (x) => {
        if (x === 13) throw new Error('13 is not to its liking.');
        return x;
      },
      { gpu: { base: 100, perItem: 0 } },
    );
    const served = await serve({ picky });
    const asked = [13, 14].map((x) => outcome(ask(served, x, { model: 'picky' })));
    await served.time.pass(150);
    // The two ran together and failed; now the first runs alone, and fails.
    await served.time.pass(100);
    for (let killed = 0; killed < 3; killed += 1) {
      await served.time.until(
        (async () => {
          while (served.engine.state().lanes.every(({ state }) => state !== 'running'))
            await served.time.sleep(10);
        })(),
      );
      for (const lane of [...served.host.open]) lane.kill('Its host was switched off.');
      await served.time.pass(1);
    }
    expect(await served.time.until(Promise.all(asked))).toEqual([
      'invalid: model picky version 1: 13 is not to its liking.',
      'internal: 3 lanes were lost while they ran it. The last one: Its host was switched off.',
    ]);
  });
});

describe('models that come and go', () => {
  it('models are listed, with the reason for those that cannot be served', async () => {
    const served = await serve(
      { double },
      { files: { 'broken/1/model.onnx': 'x', 'empty/1/model.onnx': '' } },
    );
    expect(served.engine.index()).toEqual([
      { name: 'empty', version: '1', state: 'UNAVAILABLE', reason: 'The file is empty.' },
      {
        name: 'broken',
        version: '1',
        state: 'UNAVAILABLE',
        reason: 'model broken version 1: The file model.onnx is no model.',
      },
      { name: 'double', version: '1', state: 'READY' },
    ]);
    expect(served.engine.ready).toBe(false);
    expect(await outcome(ask(served, 1, { model: 'empty' }))).toBe(
      'unavailable: "empty" version 1 cannot answer: The file is empty.',
    );
  });

  it('models are listed by their own names if their folder is the working directory', async () => {
    const before = process.cwd();
    const files = { 'empty/1/model.onnx': '' };
    const served = begin({ double }, { files, folder: '.' });
    try {
      process.chdir(served.folder);
      await served.time.until(served.engine.loaded);
    } finally {
      process.chdir(before);
    }
    expect(served.engine.index().map(({ name }) => name)).toEqual(['empty', 'double']);
  });

  it('a model tells its inputs and outputs', async () => {
    const { engine } = await serve({ double });
    expect(engine.metadata('double')).toEqual({
      name: 'double',
      versions: ['1'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'INT32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'INT32', shape: [-1, 2] }],
    });
    expect(engine.configuration('double').maxBatchSize).toBe(1024);
  });

  it('a model is replaced while the earlier one finishes its requests', async () => {
    const served = await serve({ double: mapping((x) => 2 * x, { load: 500 }) }, { lanes: 2 });
    const before = outcome(ask(served, 1));
    served.models.double = mapping((x) => 3 * x, { load: 500 });
    const loading = served.engine.load('double');
    await served.time.pass(1);
    expect(served.engine.index()[0]?.state).toBe('LOADING');
    const meanwhile = outcome(ask(served, 1));
    expect(await served.time.until(before)).toEqual([2, -2]);
    expect(await served.time.until(meanwhile)).toEqual([2, -2]);
    await served.time.until(loading);
    expect(await served.time.until(outcome(ask(served, 1)))).toEqual([3, -3]);
    await served.time.pass(1000);
    // The lanes have the new one alone.
    expect([...served.host.open].every(({ loaded }) => loaded <= 1)).toBe(true);
  });

  it('a server is ready while a model is replaced, which answers all the time', async () => {
    const served = await serve({ double: mapping((x) => 2 * x, { load: 500 }) });
    const loading = served.engine.load('double');
    await served.time.pass(1);
    expect(served.engine.index()[0]?.state).toBe('LOADING');
    expect(served.engine.ready).toBe(true);
    await served.time.until(loading);
    expect(served.engine.ready).toBe(true);
  });

  it('a model stays if its new version cannot be loaded', async () => {
    const served = await serve({ double });
    delete served.models.double;
    expect(await served.time.until(codeOf(served.engine.load('double')))).toBe('unavailable');
    served.models.double = double;
    expect(await served.time.until(outcome(ask(served, 1)))).toEqual([2, -2]);
  });

  it('an unloaded model finishes its runs, and refuses the waiting requests', async () => {
    const served = await serve({ double: mapping((x) => 2 * x, { gpu: { base: 100, perItem: 0 } }) });
    const runs = outcome(ask(served, 1));
    await served.time.pass(1);
    const waits = outcome(ask(served, 2));
    await served.time.pass(1);
    const unloading = served.engine.unload('double');
    expect(await served.time.until(waits)).toBe('unavailable: A model that double needs was unloaded.');
    expect(await served.time.until(runs)).toEqual([2, -2]);
    await served.time.until(unloading);
    expect(served.engine.index()).toMatchObject([{ state: 'UNAVAILABLE', reason: 'It was unloaded.' }]);
    expect(await outcome(ask(served, 3))).toBe(
      'unavailable: "double" version 1 cannot answer: It was unloaded.',
    );
    expect([...served.host.open].map(({ loaded }) => loaded)).toEqual([0]);
    await served.time.until(served.engine.load('double'));
    expect(await served.time.until(outcome(ask(served, 3)))).toEqual([6, -6]);
  });

  it('a server that ends finishes its requests within its time', async () => {
    const served = await serve(
      { double: mapping((x) => 2 * x, { gpu: { base: 100, perItem: 0 } }) },
      { files: { 'double/config.yaml': 'maxBatch: 1' } },
    );
    const asked = [1, 2, 3].map((x) => outcome(ask(served, x)));
    await served.time.pass(1);
    const closing = served.engine.close(250);
    expect(await outcome(ask(served, 4))).toBe('unavailable: The server is ending.');
    await served.time.until(closing);
    expect(await Promise.all(asked)).toEqual([
      [2, -2],
      [4, -4],
      'unavailable: The server ended before the request was done.',
    ]);
    expect(served.host.open.size).toBe(0);
    expect(served.host.used).toBe(0);
  });
});

describe('statistics', () => {
  it('statistics count items, runs and times by batch', async () => {
    const gpu = { base: 10, perItem: 1 };
    const served = await serve({ double: mapping((x) => 2 * x, { gpu }) });
    await served.time.until(Promise.all([1, 2, 3].map((x) => ask(served, x))));
    await served.time.until(ask(served, 4));
    const [statistics] = served.engine.statistics('double');
    expect(statistics).toMatchObject({
      inferenceCount: 4,
      executionCount: 2,
      success: { count: 4, ns: (3 * 13 + 11) * 1e6 },
      fail: { count: 0, ns: 0 },
      queue: { count: 4, ns: 0 },
      computeInfer: { count: 4, ns: (3 * 13 + 11) * 1e6 },
      batches: [
        { batchSize: 1, computeInfer: { count: 1, ns: 11e6 } },
        { batchSize: 3, computeInfer: { count: 1, ns: 13e6 } },
      ],
    });
  });

  it('a request without items counts as one with a result', async () => {
    const served = await serve({ double });
    expect(await served.time.until(outcome(ask(served, int32('x', [0, 2], []))))).toEqual([]);
    expect(served.engine.statistics('double')).toMatchObject([
      { inferenceCount: 0, success: { count: 1 }, fail: { count: 0 } },
    ]);
  });
});
