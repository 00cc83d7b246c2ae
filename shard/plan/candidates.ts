import { type Descriptor, type DeviceMesh, keyOf, type Placement } from '../layout/descriptor.js';
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

/**
 * The candidates of a node: each mesh with each choice of a signature for each of its axes, if every host gets a part of
 * the split tensors. The preferred ones come first.
 */
export function candidatesOf(
  graph: LogicalGraph,
  node: LogicalNode,
  meshes: readonly DeviceMesh[],
): Candidate[] {
  const shapes = (side: 'inputs' | 'outputs') => node[side].map((name) => tensorOf(graph, name).shape);
  const [inputs, outputs] = [shapes('inputs'), shapes('outputs')];
  return meshes.flatMap((mesh) =>
    combinations(node.signatures, mesh.shape.length)
      .filter(
        (signatures) =>
          signatures.every((one, axis) => one.groups === undefined || isEven(one.groups, mesh, axis)) &&
          inputs.every((shape, index) =>
            isDivisible(
              shape,
              mesh,
              signatures.map((signature) => signature.inputs[index] as Placement),
            ),
          ) &&
          outputs.every((shape, index) =>
            isDivisible(
              shape,
              mesh,
              signatures.map((signature) => signature.outputs[index] as Placement),
            ),
          ),
      )
      .map((signatures) => ({ mesh, signatures })),
  );
}

/** Whether each split axis has at least one element for each of its parts. */
function isDivisible(shape: readonly number[], mesh: DeviceMesh, placements: readonly Placement[]): boolean {
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
