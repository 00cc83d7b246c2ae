import {
  type Descriptor,
  type DeviceMesh,
  keyOf,
  meshOf,
  type Placement,
  textOf,
} from '../layout/descriptor.js';
import { divide } from '../layout/region.js';
import { combinations } from '../layout/transfer.js';
import {
  type Candidate,
  type LogicalGraph,
  type LogicalNode,
  type LogicalTensor,
  type Signature,
  tensorOf,
} from './graph.js';

/** How one input or output of a node lies with a candidate. `key` is equal for equal descriptors. */
export interface Wanted {
  readonly name: string;
  readonly descriptor: Descriptor;
  readonly key: string;
}

/** How the inputs, or the outputs, of a node lie with this candidate, in their order. */
export function wantedBy(
  node: LogicalNode,
  { mesh, signatures }: Candidate,
  side: 'inputs' | 'outputs',
): Wanted[] {
  return node[side].map((name, index) => {
    const placements = signatures.map((signature) => signature[side][index] as Placement);
    const descriptor = { mesh, placements };
    return { name, descriptor, key: keyOf(descriptor) };
  });
}

/** How a node's inputs lie with this candidate, and how its outputs then lie, such as "B,S1>S1". */
export function signatureText(node: LogicalNode, candidate: Candidate): string {
  const side = (which: 'inputs' | 'outputs') =>
    wantedBy(node, candidate, which)
      .map(({ descriptor }) => textOf(descriptor))
      .join();
  return `${side('inputs')}>${side('outputs')}`;
}

/**
 * The candidates of a node: each mesh with each choice of a signature for each of its axes, if every host gets a part of
 * the split tensors. The preferred ones come first. A node that runs on one host alone has that host: any of those that
 * are a mesh, or the first of all.
 */
export function candidatesOf(
  graph: LogicalGraph,
  node: LogicalNode,
  meshes: readonly DeviceMesh[],
): Candidate[] {
  const ofOne = meshes.filter(({ hosts }) => hosts.length === 1);
  const first = meshes.slice(0, 1).map(({ hosts }) => meshOf(hosts.slice(0, 1)));
  const alone = ofOne.length > 0 ? ofOne : first;
  return (node.runsAlone ? alone : meshes).flatMap((mesh) =>
    combinations(node.signatures, mesh.shape.length)
      .map((signatures): Candidate => ({ mesh, signatures }))
      .filter((candidate) =>
        [...wantedBy(node, candidate, 'inputs'), ...wantedBy(node, candidate, 'outputs')].every(
          ({ name, descriptor }) => isDivisible(tensorOf(graph, name), descriptor, candidate.signatures),
        ),
      ),
  );
}

/** Whether each host gets a part of each split axis that is not empty, and that consists of whole groups. */
function isDivisible(
  { shape, varying }: LogicalTensor,
  { mesh, placements }: Descriptor,
  signatures: readonly Signature[],
): boolean {
  /** For each split axis, the lengths of its parts so far. A later axis of the mesh splits each of them. */
  const lengths = new Map<number, readonly number[]>();
  for (const [axis, placement] of placements.entries()) {
    if (typeof placement !== 'number') continue;
    if (varying?.includes(placement)) return false;
    const whole = shape[placement] ?? 0;
    const { groups = whole } = signatures[axis] as Signature;
    const size = whole / groups;
    const parts = new Set<number>();
    for (const length of lengths.get(placement) ?? [whole]) {
      const bounds = divide(length, mesh.weights[axis] as readonly number[]);
      const byGroup = divide(length / size, mesh.weights[axis] as readonly number[]);
      if (bounds.some((bound, at) => bound !== (byGroup[at] as number) * size)) return false;
      for (const [at, bound] of bounds.slice(1).entries()) parts.add(bound - (bounds[at] as number));
    }
    if (parts.has(0)) return false;
    lengths.set(placement, [...parts]);
  }
  return true;
}
