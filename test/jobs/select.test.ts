import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitOf, isMoreExact, type Scope } from '#farlight/jobs/select/scope.js';
import { type Candidate, select } from '#farlight/jobs/select/select.js';

interface Row extends Candidate {
  readonly tasks: readonly string[];
}

const farlight = (name: string, scope: Scope, tasks = ['main']): Row => ({
  name,
  scope,
  isBuiltIn: true,
  tasks,
});
const site = (name: string, scope: Scope, tasks = ['main']): Row => ({
  name,
  scope,
  isBuiltIn: false,
  tasks,
});

const CATALOGUE = [
  farlight('any', {}, ['main', 'worker']),
  farlight('inference', { kind: ['inference'] }),
  site('lab-inference', { kind: ['inference'] }),
  farlight('training', { kind: ['training'] }, ['main', 'worker']),
  site('tf', { framework: ['tensorflow.js'] }),
  farlight('tf-training', { framework: ['tensorflow.js'], kind: ['training'] }),
  site('tf4-training', { framework: ['tensorflow.js@4'], kind: ['training'] }),
  site('tf422', { framework: ['tensorflow.js@4.22'] }),
  farlight('engines', { framework: ['three.js', 'babylon.js', 'pixi.js'], kind: ['inference'] }),
  site('three', { framework: ['three.js'], kind: ['inference', 'rendering'] }),
  farlight('onnx', { framework: ['onnxruntime-web'], kind: ['inference', 'batch'] }),
  site('onnx-lab', { framework: ['onnxruntime-web'], kind: ['batch', 'inference'] }),
  farlight('server', { kind: ['server'] }),
  site('jax-a', { framework: ['jax-js'], kind: ['training'] }),
  site('jax-b', { framework: ['jax-js'], kind: ['training'] }),
  farlight('batch', { kind: ['batch'] }, ['worker']),
];

/** Framework, kind, types of tasks that are asked for, and what is chosen; several names are a tie, none is none. */
const TABLE: readonly [string | undefined, string, string[], string[]][] = [
  [undefined, 'inference', [], ['lab-inference']],
  [undefined, 'training', [], ['training']],
  [undefined, 'server', [], ['server']],
  [undefined, 'batch', [], ['batch']],
  [undefined, 'simulation', [], ['any']],
  ['tensorflow.js', 'inference', [], ['lab-inference', 'tf']],
  ['tensorflow.js', 'training', [], ['tf-training']],
  ['tensorflow.js@4.22.0', 'training', [], ['tf4-training', 'tf422']],
  ['tensorflow.js@4.21.0', 'training', [], ['tf4-training']],
  ['tensorflow.js@4', 'training', [], ['tf4-training']],
  ['tensorflow.js@5.0.0', 'training', [], ['tf-training']],
  ['tensorflow.js@3', 'training', [], ['tf-training']],
  ['tensorflow.js@4.22', 'simulation', [], ['tf422']],
  ['tensorflow.js@4.2', 'simulation', [], ['tf']],
  ['tensorflow.js@4.220', 'simulation', [], ['tf']],
  ['tensorflow.js@4.22.1', 'simulation', [], ['tf422']],
  ['tensorflow.js', 'simulation', [], ['tf']],
  ['tensorflow.js@4', 'simulation', [], ['tf']],
  ['tensorflow.js@5', 'server', [], ['tf', 'server']],
  ['three.js', 'inference', [], ['three']],
  ['three.js', 'rendering', [], ['three']],
  ['babylon.js', 'inference', [], ['engines']],
  ['pixi.js@8.22.0', 'inference', [], ['engines']],
  ['babylon.js', 'rendering', [], ['any']],
  ['onnxruntime-web', 'inference', [], ['onnx-lab']],
  ['onnxruntime-web', 'batch', [], ['onnx-lab']],
  ['onnxruntime-web@1.30.0', 'training', [], ['training']],
  ['onnxruntime-web', 'server', [], ['server']],
  ['jax-js', 'training', [], ['jax-a', 'jax-b']],
  ['jax-js@0.1.25', 'training', [], ['jax-a', 'jax-b']],
  ['jax-js', 'inference', [], ['lab-inference']],
  ['typegpu', 'inference', [], ['lab-inference']],
  ['typegpu', 'training', [], ['training']],
  ['typegpu', 'server', [], ['server']],
  [undefined, 'inference', ['worker'], ['any']],
  [undefined, 'training', ['worker'], ['training']],
  ['tensorflow.js', 'training', ['worker'], ['training']],
  [undefined, 'batch', ['worker'], ['batch']],
  [undefined, 'batch', ['main'], ['any']],
  [undefined, 'server', ['gpu'], []],
];

function choose(candidates: readonly Row[], framework: string | undefined, kind: string, tasks: string[]) {
  return select(candidates, { framework, kind }, (candidate) =>
    tasks.every((task) => candidate.tasks.includes(task)) ? undefined : 'it lacks a task',
  );
}

const namesOf = (rows: readonly Row[]) => rows.map(({ name }) => name);

describe('the selection for a request', () => {
  it.each(TABLE)(
    'for the framework %s, the kind %s and the tasks %j is %j',
    (framework, kind, tasks, names) => {
      const { chosen, tied, lost } = choose(CATALOGUE, framework, kind, tasks);
      expect(chosen ? [chosen.name] : namesOf(tied)).toEqual(names);
      expect(lost).toHaveLength(CATALOGUE.length - names.length);
      for (const { why } of lost) expect(why).toMatch(/^it |is more specific$|and the site's own$/);
    },
  );

  it('has 40 rows in its table', () => {
    expect(TABLE).toHaveLength(40);
  });

  it('says of each other candidate why it lost', () => {
    const { lost } = choose(CATALOGUE, 'tensorflow.js@4.21.0', 'training', []);
    const why = Object.fromEntries(lost.map((each) => [each.candidate.name, each.why]));
    expect(why).toMatchObject({
      inference: 'it is for the kind of job inference, and the request names training',
      tf422: 'it is for the framework tensorflow.js@4.22, and the request names tensorflow.js@4.21.0',
      engines:
        'it is for the framework three.js or babylon.js or pixi.js, and the request names tensorflow.js@4.21.0',
      'tf-training': 'tf4-training is more specific',
    });
    const { lost: others } = choose(CATALOGUE, undefined, 'inference', []);
    expect(others.find((each) => each.candidate.name === 'inference')?.why).toBe(
      "lab-inference is as specific, and the site's own",
    );
    expect(others.find((each) => each.candidate.name === 'tf')?.why).toBe(
      'it is for the framework tensorflow.js, and the request names none',
    );
  });

  it('does not depend on the order of the candidates', () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray(CATALOGUE, { minLength: CATALOGUE.length }),
        fc.constantFrom(...TABLE),
        (shuffled, [framework, kind, tasks, names]) => {
          const { chosen, tied } = choose(shuffled, framework, kind, tasks);
          expect(new Set(chosen ? [chosen.name] : namesOf(tied))).toEqual(new Set(names));
        },
      ),
    );
  });
});

describe('how exactly a scope fits', () => {
  it.each<[Scope, number[]]>([
    [{}, [0, 0, 0]],
    [{ framework: ['a'] }, [1, 0, 0]],
    [{ framework: ['b', 'a', 'a@1'] }, [2, 0, 0]],
    [{ framework: ['a@1.2.3'], kind: ['x', 'k'] }, [4, 1, 0]],
  ])('%j fits a@1.2.3 and k as exactly as %j', (scope, exactness) => {
    expect(fitOf(scope, { framework: 'a@1.2.3', kind: 'k' })).toEqual({ exactness });
  });

  it('is an order: no two fits go before each other, and it is transitive', () => {
    const fit = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3));
    fc.assert(
      fc.property(fit, fit, fit, (a, b, c) => {
        expect(isMoreExact(a, b) && isMoreExact(b, a)).toBe(false);
        if (isMoreExact(a, b) && isMoreExact(b, c)) expect(isMoreExact(a, c)).toBe(true);
      }),
    );
  });
});
