import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { resolveStream } from '#farlight/stream/definition/resolve.js';
import { readStream } from '#farlight/stream/definition/stream-file.js';
import { planUpgrade, type UpgradeWords } from '#farlight/stream/definition/upgrade-plan.js';
import { LaneRunner } from '#farlight/stream/run/lane-runner.js';
import { FakeHost, mapping } from '../infer/engine/fake-lanes.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());

const GOOD = `
sources:
  a: { generator: f.mjs#make, values: [x] }
  b: { http: { x: "INT32[1]" } }
steps:
  one:
    function: f.mjs#sum
    inputs: { x: a.x }
    constants: { by: { type: "INT32[1]", data: [2] } }
    state: { total: "INT32[1]" }
  two:
    uid: second
    function: f.mjs#sum
    inputs: { x: one.y }
sinks:
  out: { file: out.jsonl, values: { y: two.y } }
`;

/** A folder with an application and its modules. */
function folderWith(text: string): string {
  const folder = temporary.make();
  writeFileSync(join(folder, 'app.yaml'), text);
  writeFileSync(
    join(folder, 'f.mjs'),
    `import { by } from './lib.mjs';\nexport const sum = () => by;\nexport const make = sum;\nexport const turn = sum;\n`,
  );
  writeFileSync(join(folder, 'lib.mjs'), 'export const by = 1;\n');
  mkdirSync(join(folder, 'models/m/1'), { recursive: true });
  mkdirSync(join(folder, 'models/m/2'), { recursive: true });
  for (const version of [1, 2])
    writeFileSync(join(folder, `models/m/${version}/model.onnx`), `model ${version}`);
  return folder;
}

const problemsOf = (text: string) =>
  readStream(join(folderWith(text), 'app.yaml')).problems.map(
    ({ line, column, message }) => `${line}:${column} ${message}`,
  );

describe('a file of an application', () => {
  it('is right as the docs show it', () => {
    expect(problemsOf(GOOD)).toEqual([]);
  });

  it.each<[string, string, string, string]>([
    ['a value that a source does not give', 'x: a.x', 'x: a.z', '8:18 Source "a" gives x, and not "z".'],
    [
      'a step that is not there',
      'x: one.y',
      'x: onee.y',
      '14:18 There is no source or step "onee"; did you mean "one".',
    ],
    [
      'two sources that meet',
      'x: one.y',
      'x: one.y, z: b.x',
      '11:3 "two" takes records of "a" and "b", which have no order among them: take one of them.',
    ],
    [
      'steps that wait for each other',
      'x: a.x',
      'x: two.y',
      '6:3 These steps wait for each other: one, two, one.',
    ],
    [
      'a step that chooses a key',
      'uid: second',
      'key: one.y',
      '12:5 Step "two" takes records by the key that the source gave: publish them to NATS by a sink with another "key", and read them by a second application.',
    ],
    [
      'two steps with one uid',
      'uid: second',
      'uid: one',
      '11:3 Steps "one" and "two" have the same uid, "one": give one of them another.',
    ],
    [
      'a module that is not there',
      'f.mjs#make',
      'g.mjs#make',
      '3:19 There is no file "g.mjs" beside the file.',
    ],
    [
      'a module elsewhere',
      'f.mjs#make',
      '../f.mjs#make',
      '3:19 "../f.mjs" is not in the folder of the file.',
    ],
    [
      'a setting of another kind',
      'values: [x] }',
      'values: [x], samples: 3 }',
      '3:44 "samples" is a setting of wav, and "a" is generator.',
    ],
    [
      'a pace that is none',
      'generator: f.mjs#make, values: [x] }',
      'wav: sounds, pace: slow }',
      '3:27 "sources.a.pace" is not written as it must be: real-time, fast, or a number from 0.001 to 1000.',
    ],
    [
      'a generator that does not say its values',
      ', values: [x] }',
      ' }',
      '3:3 Say which values "a" returns, as values: [x, y].',
    ],
    [
      'a constant of another type',
      'data: [2]',
      'data: [2.5]',
      '9:22 input "by" is INT32, and has the element 2.5.',
    ],
    [
      'an input that is given twice',
      'state: { total',
      'state: { x',
      '6:3 Input "x" of step "one" is given twice.',
    ],
    [
      'a state of no type',
      '"INT32[1]" }\n  two',
      '"INT[1]" }\n  two',
      '10:21 "steps.one.state.total" is not written as it must be: a datatype and a shape, as FP32[1,4].',
    ],
    [
      'a sink that goes nowhere',
      'file: out.jsonl, ',
      '',
      '16:3 Sink "out" must have one of file, http, nats, page.',
    ],
    [
      'two sinks that write to one file',
      'values: { y: two.y } }',
      'values: { y: two.y } }\n  more: { file: ./out.jsonl, values: { y: one.y } }',
      '17:17 Sinks "out" and "more" write to the same file: give each a file of its own.',
    ],
    [
      'a value named "each" that a source does not give',
      'y: two.y }',
      'each: a.z, y: two.y }, each: two.y',
      '16:43 Source "a" gives x, and not "z".',
    ],
    [
      'a model that is not there',
      'function: f.mjs#sum\n    inputs: { x: one',
      'model: n\n    inputs: { x: one',
      '13:12 There is no model "n" in the folder; did you mean "m".',
    ],
    [
      'a version that is not there',
      'function: f.mjs#sum\n    inputs: { x: one',
      'model: m\n    version: 3\n    inputs: { x: one',
      '14:14 Model "m" has no version 3; it has 1, 2.',
    ],
  ])('%s is told by line and column', (_, from, to, expected) => {
    expect(GOOD).toContain(from);
    expect(problemsOf(GOOD.replace(from, to))).toContain(expected);
  });
});

async function defined(folder: string, text = readFileSync(join(folder, 'app.yaml'), 'utf8')) {
  writeFileSync(join(folder, 'app.yaml'), text);
  const { graph, problems } = readStream(join(folder, 'app.yaml'));
  expect(problems).toEqual([]);
  return resolveStream(graph as NonNullable<typeof graph>, join(folder, 'app.state/functions'));
}

/** The plan of an upgrade, as lines, and its refusals. */
async function planned(change: (text: string) => string, words: UpgradeWords = {}, before = GOOD) {
  const folder = folderWith(before);
  const from = await defined(folder);
  const to = await defined(folder, change(before));
  const { steps, sources, sinks, refusals, isEmpty } = planUpgrade(from, to, words);
  const lines = [
    ...steps.map(({ uid, change, state, details }) =>
      [uid, change, state, ...details].filter(Boolean).join(', '),
    ),
    ...[...sources, ...sinks]
      .filter(({ change }) => change !== 'kept')
      .map(({ name, change }) => `${name}, ${change}`),
  ];
  return { lines, refusals, isEmpty };
}

describe('the plan of an upgrade', () => {
  it('is empty where nothing has changed but the order and the comments', async () => {
    const { isEmpty } = await planned((text) => `# another comment\n${text}`);
    expect(isEmpty).toBe(true);
  });

  it('keeps a step by its uid where only its name is another', async () => {
    const { lines, refusals } = await planned((text) =>
      text.replace('  two:', '  deux:').replace('y: two.y', 'y: deux.y'),
    );
    expect(lines).toEqual(['one, kept, kept', 'second, changed, it was called two', 'out, changed']);
    expect(refusals).toEqual([]);
  });

  it('keeps the state of a step whose constant has changed', async () => {
    const { lines } = await planned((text) => text.replace('data: [2]', 'data: [3]'));
    expect(lines).toEqual(['one, changed, kept, f.mjs#sum has changed', 'second, kept']);
  });

  it('converts a state once: a function that the version before has too has done so', async () => {
    const withMigrate = (text: string) =>
      text.replace('state: { total', 'migrate: f.mjs#turn\n    state: { total');
    expect((await planned(withMigrate)).lines[0]).toBe('one, kept, migrated');
    const again = await planned((text) => text.replace('data: [2]', 'data: [3]'), {}, withMigrate(GOOD));
    expect(again.lines[0]).toBe('one, changed, kept, f.mjs#sum has changed');
  });

  it('converts no state again where a rollback goes back to the version that has converted it', async () => {
    const withMigrate = GOOD.replace('state: { total', 'migrate: f.mjs#turn\n    state: { total');
    const back = (words: UpgradeWords) => planned(() => withMigrate, words, GOOD);
    expect((await back({ isRollback: true })).lines[0]).toBe('one, kept, kept');
    expect((await back({})).lines[0]).toBe('one, kept, migrated');
  });

  it('refuses a state of another form, unless it is converted or reset', async () => {
    const other = (text: string) => text.replace('total: "INT32[1]"', 'total: "INT32[2]"');
    expect((await planned(other)).refusals[0]).toMatch(/^The state of step "one" has another form/);
    expect((await planned(other, { reset: ['one'] })).refusals).toEqual([]);
    const converted = await planned((text) =>
      other(text).replace('state: {', 'migrate: f.mjs#turn\n    state: {'),
    );
    expect(converted.refusals).toEqual([]);
  });

  it('refuses to remove a step with state, and a source, without a word', async () => {
    const without = (text: string) =>
      text
        .replace(/ {2}one:[\s\S]*? {2}two:/, '  two:')
        .replace('x: one.y', 'x: b.x')
        .replace(/ {2}a: .*\n/, '');
    const { refusals } = await planned(without);
    expect(refusals).toHaveLength(2);
    expect((await planned(without, { drop: ['one', 'a'] })).refusals).toEqual([]);
  });

  it('refuses words about steps that are not there', async () => {
    const { refusals } = await planned((text) => text, { reset: ['three'] });
    expect(refusals).toEqual(['There is no step with the uid "three", and no source of that name.']);
  });

  it('sees a change in a file that a module imports', async () => {
    const folder = folderWith(GOOD);
    const from = await defined(folder);
    writeFileSync(join(folder, 'lib.mjs'), 'export const by = 5;\n');
    const { steps } = planUpgrade(from, await defined(folder));
    expect(steps.map(({ change }) => change)).toEqual(['changed', 'changed']);
  });

  it('sees no change in the same files elsewhere', async () => {
    const folder = folderWith(GOOD);
    const other = temporary.make();
    cpSync(folder, other, { recursive: true });
    const [from, to] = [await defined(folder), await defined(other)];
    expect(to.steps.map(({ does }) => does)).toEqual(from.steps.map(({ does }) => does));
  });
});

describe('a model that runs', () => {
  it('is not replaced by an upgrade whose model has the same version and another file', async () => {
    const folder = folderWith(
      GOOD.replace(
        'function: f.mjs#sum\n    inputs: { x: one',
        'model: m\n    version: 1\n    inputs: { x: one',
      ),
    );
    const host = new FakeHost(
      { now: () => 0, sleep: async () => {} } as never,
      { 'm.1': mapping((x) => x) },
      { bytes: 1 << 30 },
    );
    const runner = new LaneRunner({
      folder: join(folder, 'links'),
      hosts: async () => ({ hosts: [host], adapter: 'fake' }),
      log: () => {},
    });
    try {
      const before = await defined(folder);
      await runner.prepare(before);
      writeFileSync(join(folder, 'models/m/1/model.onnx'), 'another model');
      const after = await defined(folder);
      await expect(runner.prepare(after)).rejects.toThrow('model.onnx was changed in place while it runs');
      // The version that runs still has it.
      await runner.release(before);
      await runner.prepare(after);
    } finally {
      await runner.close();
    }
  });
});

describe('a model that an upgrade brings', () => {
  /** The runs on the host, and the log, after a step that has run once gets another version of its model. */
  const upgraded = async (compute: (x: number) => number) => {
    const folder = folderWith(GOOD);
    const host = new FakeHost(
      { now: () => 0, sleep: async () => {} } as never,
      { 'm.1': mapping((x) => x, {}, [-1, -1]), 'm.2': mapping(compute, {}, [-1, -1]) },
      { bytes: 1 << 30 },
    );
    const logged: string[] = [];
    const runner = new LaneRunner({
      folder: join(folder, 'links'),
      hosts: async () => ({ hosts: [host], adapter: 'fake' }),
      log: (message) => logged.push(message),
    });
    const withModel = async (version: number) => {
      writeFileSync(
        join(folder, 'app.yaml'),
        GOOD.replace(
          'function: f.mjs#sum\n    inputs: { x: one.y',
          `model: m\n    version: ${version}\n    inputs: { x: one.y`,
        ),
      );
      return defined(folder);
    };
    try {
      const before = await withModel(1);
      await runner.prepare(before);
      const data = new Uint8Array(Int32Array.of(1, 2, 3).buffer);
      const inputs = { x: { name: 'x', datatype: 'INT32', shape: [1, 3], data } as const };
      await runner.run({ definition: before, uid: 'second', inputs, state: undefined });
      await runner.prepare(await withModel(2));
      return { runs: host.runs.map(({ model, batch }) => [model.replace(/@.*/, ''), batch]), logged };
    } finally {
      await runner.close();
    }
  };

  it('runs once with the last inputs of its step before the upgrade goes on', async () => {
    const { runs } = await upgraded((x) => x);
    expect(runs).toEqual([
      ['m.1', 1],
      ['m.2', 1],
    ]);
  });

  it('is ready also where it fails with these inputs, and the log says so', async () => {
    const { logged } = await upgraded(() => {
      throw new Error('not this one');
    });
    expect(logged).toContainEqual(
      expect.stringMatching(/^step two could not be tried with its last inputs: .*not this one/),
    );
  });
});

describe('the copy of a module', () => {
  it('stays as it is where there is one: a thread may load it at that moment', async () => {
    const folder = folderWith(GOOD);
    const fileOf = async () => {
      const runs = (await defined(folder)).steps[0]?.runs;
      return runs?.kind === 'function' ? runs.function.file : '';
    };
    const before = statSync(await fileOf());
    const after = statSync(await fileOf());
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
  });
});
