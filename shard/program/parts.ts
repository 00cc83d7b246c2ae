import { type Descriptor, keyOf, type Part, partsOf } from '../layout/descriptor.js';
import { lengthsOf, type Region } from '../layout/region.js';
import { type Observed, seenIn } from '../onnx/observe.js';
import { tensorOf } from '../plan/graph.js';
import type { PlannedModel } from '../plan-model.js';
import type { LocalTensor } from './local-model.js';

/** The parts of a model's tensors that lie on the hosts, and their names there. */
export class Parts {
  readonly #planned: PlannedModel;
  /** By tensor, the keys of the descriptors that say how it lies. */
  readonly #ways = new Map<string, string[]>();

  constructor(planned: PlannedModel) {
    this.#planned = planned;
  }

  /** The part of a tensor on one host. */
  of(host: number, tensor: string, descriptor: Descriptor): Part {
    const { shape } = tensorOf(this.#planned.problem.graph, tensor);
    const part = partsOf(descriptor, shape).find((each) => each.host === host);
    if (!part) throw new Error(`Farlight bug: host ${host} has no part of "${tensor}"`);
    return part;
  }

  /** A region of a tensor, as a tensor of a host's model. */
  local(tensor: string, region: Region): LocalTensor {
    const { dataType, varying } = this.seen(tensor);
    const dims = lengthsOf(region).map((size, axis) => (varying.includes(axis) ? undefined : size));
    return { dataType, dims };
  }

  seen(tensor: string): Observed {
    return seenIn(this.#planned.observed, tensor);
  }

  /** The name of a tensor that lies in some way. The first way has the tensor's own name. */
  name(tensor: string, descriptor: Descriptor): string {
    const ways = this.#ways.get(tensor) ?? [];
    this.#ways.set(tensor, ways);
    const key = keyOf(descriptor);
    if (!ways.includes(key)) ways.push(key);
    const way = ways.indexOf(key);
    return way === 0 ? tensor : `${tensor}~${way}`;
  }
}
