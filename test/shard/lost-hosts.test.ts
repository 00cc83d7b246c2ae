// A run over several hosts ends, whatever happens to one of them. `npm run shard` is the long form.
import * as ort from 'onnxruntime-web/wasm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import '../support/programs/liftoff.js';
import type { InferenceError } from '#farlight/infer/service/service.js';
import { type HostTensor, type ShardedModel, shard } from '#farlight/shard/index.js';
import type { Route } from '#farlight/shard/plan/costs.js';
import { type EmulatedLink, emulateLink } from '#farlight/testing/index.js';
import { DaemonProcess } from '../support/hosts/daemon-process.js';
import { executorsOf } from '../support/machine/processes.js';
import { seeded } from '../support/random/seeded.js';
import { gptModel, gptState } from './support/gpt.mjs';
import { engineOver, inputsOf } from './support/served.js';

const GPT = { layers: 1, width: 24, heads: 4, vocabulary: 31, positions: 16 };
const gpt = new Uint8Array(gptModel(GPT));
const state = gptState(GPT.layers);
/** How long a host may take for a stage where that shows that it is lost, and where the machine may be busy. */
const TIMEOUT_MS = { short: 5_000, long: 15_000 };
const TIMES = Number(process.env.FARLIGHT_SHARD_KILLS ?? 3);
const asked = { dimensions: { new: 1, past: 8, all: 9 }, state, effort: 5_000 };
/** An address at which no host listens: a host with a peer takes lines. */
const NOBODY = 'grpc://127.0.0.1:1';

let daemons: [DaemonProcess, string][] = [];
let link: EmulatedLink;

beforeAll(async () => {
  const second = await DaemonProcess.start({ adapter: 'null', peers: [NOBODY] });
  link = await emulateLink({ target: second[1] });
  daemons = [await DaemonProcess.start({ adapter: 'null', peers: [link.url] }), second];
});

afterAll(async () => {
  await link.close();
  for (const [daemon] of daemons) await daemon.kill();
});

function overTwo(route: Route = 'direct', timeout = TIMEOUT_MS.long): Promise<ShardedModel> {
  const hosts = [(daemons[0] as [DaemonProcess, string])[1], link.url];
  return shard(gpt, { ...asked, hosts, route, timeout });
}

function inputs() {
  const cache = () => new ort.Tensor('float32', new Float32Array(192), [1, 4, 8, 6]);
  const whole = (value: bigint) => new ort.Tensor('int64', BigInt64Array.of(value), [1, 1]);
  return {
    ids: whole(1n),
    positions: whole(8n),
    mask: new ort.Tensor('float32', new Float32Array(9), [1, 9]),
    ...Object.fromEntries(Object.keys(state).map((name) => [name, cache()])),
  };
}

/** Runs a model again and again. Resolves to the error that ends it. */
async function runUntilError(model: ShardedModel, onRun: () => void): Promise<Error> {
  for (;;) {
    try {
      const results = await model.run(inputs());
      for (const output of Object.values(state)) (results[output] as HostTensor).dispose();
      onRun();
    } catch (error) {
      return error as Error;
    }
  }
}

const signalled = async (signal: NodeJS.Signals) => {
  const executors = await executorsOf((daemons[1] as [DaemonProcess, string])[0].pid);
  for (const pid of executors) process.kill(pid, signal);
  return executors;
};

const FAULTS = {
  killed: async () => {
    await signalled('SIGKILL');
  },
  frozen: async () => {
    const stopped = await signalled('SIGSTOP');
    return () => {
      for (const pid of stopped) process.kill(pid, 'SIGKILL');
    };
  },
  cut: async () => {
    await link.refuse();
    await link.cut();
    return () => link.accept();
  },
} satisfies Record<string, () => Promise<(() => void | Promise<void>) | undefined | void>>;

test(
  `each of ${TIMES} runs whose host is killed, frozen or cut off ends with an error that names it`,
  async () => {
    const random = seeded(7);
    // As long as one model is loaded, V8 has ONNX Runtime's module compiled for all others.
    const kept = await shard(gpt, { ...asked, hosts: [(daemons[0] as [DaemonProcess, string])[1]] });
    const kinds = Object.keys(FAULTS) as (keyof typeof FAULTS)[];
    const routes: Route[] = ['direct', 'direct', 'direct', 'client', 'client', 'client'];
    for (let time = 0; time < TIMES; time += 1) {
      const kind = kinds[time % kinds.length] as keyof typeof FAULTS;
      const route = routes[time % routes.length] as Route;
      const model = await overTwo(route, kind === 'killed' ? TIMEOUT_MS.long : TIMEOUT_MS.short);
      expect(model.plan.route).toBe(route);
      let runs = 0;
      let isRunning: () => void = () => undefined;
      const running = new Promise<void>((resolve) => {
        isRunning = resolve;
      });
      const ended = runUntilError(model, () => {
        runs += 1;
        isRunning();
      });
      await Promise.race([running, ended]);
      await new Promise((resolve) => setTimeout(resolve, random() * 100));
      const undo = await FAULTS[kind]();
      const error = await ended;
      // A host that stands still makes those late that wait for it, and either of them is named.
      const named = kind === 'frozen' && route === 'direct' ? 'host ' : `host ${link.url}: `;
      expect(error.message, `${kind}, ${route}`).toContain(named);
      await expect(model.run(inputs()), kind).rejects.toThrow(error.message);
      await undo?.();
      await model.release();
      expect(runs, kind).toBeGreaterThan(0);
      if (TIMES > 10 && (time + 1) % 10 === 0) console.log(`${time + 1} of ${TIMES}`);
    }
    await kept.release();
  },
  40_000 * TIMES,
);

test('the inference server loads a model again whose host was lost, and says meanwhile which one is missing', async () => {
  const { engine, close } = await engineOver(gpt, [(daemons[0] as [DaemonProcess, string])[1], link.url]);
  await engine.loaded;
  /** Asks until the server answers, or says that this is missing. A busy machine may let either host be missing for a while. */
  const asked = async (missing?: string) => {
    for (;;) {
      try {
        const { outputs } = await engine.infer({ model: 'gpt', inputs: inputsOf(GPT, 8, () => 0) });
        if (missing === undefined) return outputs.length;
      } catch (error) {
        const { code, message } = error as InferenceError;
        expect(code).toBe('unavailable');
        if (missing !== undefined && message.includes(missing)) return message;
      }
    }
  };
  expect(await asked()).toBe(3);
  await signalled('SIGKILL');
  expect(await asked()).toBe(3);
  await link.refuse();
  await signalled('SIGKILL');
  expect(await asked(link.url)).toContain('gpt');
  await link.accept();
  expect(await asked()).toBe(3);
  await close();
}, 240_000);

describe('a model over two hosts', () => {
  test('a model goes on if a connection was cut and comes again', async () => {
    const model = await overTwo('client');
    await model.run(inputs());
    await link.cut();
    await model.run(inputs());
    await model.release();
  }, 120_000);

  test('a model over an unreachable host fails to load, and the error names the host', async () => {
    const hosts = [(daemons[0] as [DaemonProcess, string])[1], 'grpc://127.0.0.1:1'];
    await expect(shard(gpt, { ...asked, hosts })).rejects.toThrow(/^host grpc:\/\/127\.0\.0\.1:1: /);
  }, 120_000);

  test('a model refuses inputs that its plan is not for, and goes on', async () => {
    const model = await overTwo();
    expect(model.whyByClient).toBeUndefined();
    const { ids, ...others } = inputs();
    await expect(model.run(others)).rejects.toThrow('the input "ids" is missing');
    await expect(model.run({ ...inputs(), more: ids })).rejects.toThrow(
      'the model has no input "more": it has ids',
    );
    await expect(model.run({ ...inputs(), mask: ids })).rejects.toThrow('"mask" has type float32, and int64');
    const long = new ort.Tensor('float32', new Float32Array(10), [1, 10]);
    await expect(model.run({ ...inputs(), mask: long })).rejects.toThrow(
      'the model was planned for 1x9 in input "mask", and 1x10 was given',
    );
    const results = await model.run(inputs());
    const kept = results['0.key.all'] as HostTensor;
    expect(kept).toMatchObject({ location: 'gpu-buffer', type: 'float32', dims: [1, 4, 9, 6], size: 216 });
    await expect(model.run({ ...inputs(), mask: kept })).rejects.toThrow('"mask"');
    await model.release();
    await expect(model.run(inputs())).rejects.toThrow('the model was released');
  }, 120_000);

  test('releasing a model ends a run under way', async () => {
    const model = await overTwo();
    const ended = runUntilError(model, () => undefined);
    await model.release();
    expect((await ended).message).toContain('the model was released');
  }, 120_000);
});
