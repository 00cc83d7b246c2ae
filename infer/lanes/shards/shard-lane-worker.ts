/** The worker of a lane for models that lie over several hosts. Planning a model takes a while. */
import { setImmediate } from '../../../link/machine/clock.js';
import { messageOf } from '../../../proto/errors.js';
import { type ShardedModel, shard } from '../../../shard/index.js';
import type { TensorDeclaration } from '../../service/tensor.js';
import { RunError, type ShardSettings } from '../lane.js';
import { declarationOf, fromOrt, type HostTensor, toOrt } from '../tensor-conversion.js';
import { answerCalls, sayLost } from '../worker-answers.js';
import type { ShardedCall, ShardedLoad, ShardedReport } from './shard-lane.js';

const models = new Map<string, ShardedModel>();

answerCalls({
  methods: {
    load: async ({ id, file, shard: settings, addresses, timeout }: ShardedLoad) => {
      const { dimensions, shapes } = settings;
      const model = await shard(file, {
        hosts: addresses,
        ...(dimensions && { dimensions }),
        ...(shapes && { shapes }),
        reserve: true,
        timeout,
      });
      models.set(id, model);
      void model.lost.then(({ message }) => sayLost(`A model over several hosts has lost one: ${message}.`));
      const declared = (all: ShardedModel['inputMetadata']) =>
        all.map((each) => withSizes(declarationOf(each), each, settings));
      const value: ShardedReport = {
        inputs: declared(model.inputMetadata),
        outputs: declared(model.outputMetadata),
        weights: model.plan.hosts.reduce((sum, { weights }) => sum + weights, 0),
        bytes: model.plan.hosts.map(({ weights, activations }) => weights + activations),
      };
      return { value };
    },
    unload: async (id: string) => {
      const model = models.get(id);
      models.delete(id);
      await model?.release();
      return {};
    },
    run: async ({ id, inputs, outputs }: ShardedCall) => {
      const model = models.get(id);
      if (!model) throw new RunError(`Model "${id}" is not loaded on this lane.`);
      const feeds = Object.fromEntries(
        inputs.map((tensor) => [tensor.name, toOrt(tensor) as Parameters<typeof model.run>[0][string]]),
      );
      try {
        const results = await model.run(feeds);
        const tensors = outputs.map((name) => fromOrt(name, results[name] as HostTensor));
        return { value: tensors, tensors };
      } catch (error) {
        // If a host is lost, the lane says so first.
        await new Promise(setImmediate);
        throw new RunError(messageOf(error));
      }
    },
  },
  leave: async () => {
    // The worker ends next, and its hosts' sessions with it. No one waits for the error.
    await Promise.all([...models.values()].map((model) => model.release().catch(() => undefined)));
  },
});

/** A declaration with the sizes that the model was planned for. Sizes that differ from run to run stay free. */
function withSizes(
  declared: TensorDeclaration,
  { name, ...metadata }: ShardedModel['inputMetadata'][number],
  { dimensions = {}, shapes = {} }: ShardSettings,
): TensorDeclaration {
  const names = metadata.isTensor ? metadata.shape : [];
  const shape = declared.shape.map((size, axis) => {
    const of = dimensions[names[axis] ?? ''];
    if (size !== -1) return size;
    return typeof of === 'number' ? of : (shapes[name]?.[axis] ?? -1);
  });
  return { ...declared, shape };
}
