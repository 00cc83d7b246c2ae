import { type Descriptor, type DeviceMesh, keyOf, type Placement, textOf } from '../layout/descriptor.js';
import { combinations } from '../layout/transfer.js';
import { type Candidate, type LogicalGraph, type LogicalNode, tensorOf } from './graph.js';

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
 * the split tensors. The preferred ones come first.
 */
export function candidatesOf(
  graph: LogicalGraph,
  node: LogicalNode,
  meshes: readonly DeviceMesh[],
): Candidate[] {
  return meshes.flatMap((mesh) =>
    combinations(node.signatures, mesh.shape.length)
      .map((signatures): Candidate => ({ mesh, signatures }))
      .filter(
        (candidate) =>
          candidate.signatures.every(
            ({ groups }, axis) => groups === undefined || isEven(groups, mesh, axis),
          ) &&
          [...wantedBy(node, candidate, 'inputs'), ...wantedBy(node, candidate, 'outputs')].every(
            ({ name, descriptor }) => isDivisible(tensorOf(graph, name).shape, descriptor),
          ),
      ),
  );
}

/** Whether each split axis has at least one element for each of its parts. */
function isDivisible(shape: readonly number[], { mesh, placements }: Descriptor): boolean {
  const parts = new Map<number, number>();
  for (const [axis, placement] of placements.entries())
    if (typeof placement === 'number')
      parts.set(placement, (parts.get(placement) ?? 1) * (mesh.shape[axis] as number));
  return [...parts].every(([axis, count]) => (shape[axis] ?? 0) >= count);
}

/** Whether each host along this axis of the mesh gets the same number of whole groups. */
function isEven(groups: number, { shape, weights }: DeviceMesh, axis: number): boolean {
  const own = weights[axis] as readonly number[];
  return groups % (shape[axis] as number) === 0 && own.every((weight) => weight === own[0]);
}
