// Small models with unusual operators, shapes or types, over several hosts and on one.
import * as ort from 'onnxruntime-web/wasm';
import { expect } from 'vitest';
import { planModel } from '#farlight/shard/plan-model.js';
import { whyNotDirect } from '#farlight/shard/program/pieces.js';
import { load, planOptions, type ShardOptions } from '#farlight/shard/shard.js';
import { type OnnxModel, onnxBytes } from '../../infer/lanes/models.js';
import { seeded } from '../../support/random/seeded.js';
import { cpuHosts, runAlone } from './cpu-host.js';
import { difference } from './runs.js';

type Options = Omit<ShardOptions, 'hosts'>;
type Feeds = Readonly<Record<string, ort.Tensor>>;

const random = seeded(1);
const size = (shape: readonly number[]) => shape.reduce((product, one) => product * one, 1);
const values = (shape: readonly number[]) => Float32Array.from({ length: size(shape) }, () => random() - 0.5);
export const weight = (...shape: number[]) => ({ shape, values: values(shape) });
export const floats = (...shape: number[]) => new ort.Tensor('float32', values(shape), shape);
export const wholes = (given: readonly number[], shape: readonly number[] = [given.length]) =>
  new ort.Tensor('int64', BigInt64Array.from(given, BigInt), shape);
export const constant = (name: string, ...given: number[]) => ({
  operator: 'Constant',
  inputs: [],
  outputs: [name],
  attributes: { value_ints: given },
});
export const x = (...shape: (number | string)[]) => ({ name: 'x', type: 'FP32', shape }) as const;
export const y = (...shape: (number | string)[]) => ({ name: 'y', type: 'FP32', shape }) as const;

/** Plans a model over so many hosts, by way of the client unless the options say otherwise. */
export async function planned(model: OnnxModel, hosts: number, options: Options) {
  const asked = planOptions({ effort: 20_000, ...options, hosts: Array<string>(hosts).fill('') });
  return planModel(onnxBytes(model), { ...asked, route: options.route ?? 'client' });
}

/** Expects that a model over several hosts gives the results of one host, in each of these runs. */
export async function givesWhatItGivesAlone(
  model: OnnxModel,
  runs: readonly Feeds[],
  options: Options = {},
  hosts = 2,
): Promise<void> {
  const plan = await planned(model, hosts, options);
  if (options.route === 'direct') expect(whyNotDirect(plan)).toBeUndefined();
  const over = await load(plan, cpuHosts(hosts));
  const alone = await runAlone(onnxBytes(model));
  for (const feeds of runs) {
    const [results, expected] = [await over.run(feeds), await alone.run(feeds)];
    for (const [name, { dims, data }] of Object.entries(expected)) {
      const { dims: own, data: made } = results[name] as ort.Tensor;
      expect([name, own]).toEqual([name, dims]);
      const numbers = (of: typeof data) => Array.from(of as Float32Array, Number);
      if (size(dims) > 0) expect(difference(numbers(made), numbers(data))).toBeLessThan(1e-5);
    }
  }
  await over.release();
  await alone.release();
}
