import { divide, type Region, wholeOf } from './region.js';

/**
 * How a tensor lies along one axis of a mesh. A number means that it is split along the tensor's axis of that number.
 * 'B' (broadcast) means that each host has it. 'P' (partial sum) means that each host has a term, and the sum of the
 * terms is the tensor.
 */
export type Placement = number | 'B' | 'P';

/** The number of the client: a run's inputs come from there, and its outputs go there. */
export const CLIENT = -1;

/**
 * Hosts as a grid of one or two axes, in row-major order. For each axis, `weights` has the shares of a split tensor that
 * its parts get. Equal hosts have equal weights.
 */
export interface DeviceMesh {
  readonly hosts: readonly number[];
  readonly shape: readonly number[];
  readonly weights: readonly (readonly number[])[];
}

/** How a tensor lies over the hosts of a mesh: one placement for each axis of the mesh. */
export interface Descriptor {
  readonly mesh: DeviceMesh;
  readonly placements: readonly Placement[];
  /** The key of the final layout, if this one is only a step between two exchanges. */
  readonly towards?: string;
}

/** One host's part of a tensor: a region. If the tensor lies in terms, it is the region of the term `term`. */
export interface Part {
  readonly host: number;
  readonly region: Region;
  readonly term: number;
}

/** A mesh over these hosts. Without a shape it is one row. */
export function meshOf(
  hosts: readonly number[],
  shape: readonly number[] = [hosts.length],
  weights: readonly (readonly number[])[] = shape.map((size) => Array<number>(size).fill(1)),
): DeviceMesh {
  const size = shape.reduce((product, length) => product * length, 1);
  if (size !== hosts.length)
    throw new RangeError(`a mesh of ${shape.join('x')} has ${size} hosts, and ${hosts.length} were given`);
  return { hosts, shape, weights };
}

/** The places of a mesh: a coordinate on each of its axes, in the order of its hosts. */
export function coordinatesOf(mesh: DeviceMesh): number[][] {
  return mesh.hosts.map((_, index) => {
    const coordinate: number[] = [];
    let rest = index;
    for (let axis = mesh.shape.length - 1; axis >= 0; axis -= 1) {
      const length = mesh.shape[axis] as number;
      coordinate.unshift(rest % length);
      rest = Math.floor(rest / length);
    }
    return coordinate;
  });
}

/** The part of each host of a descriptor's mesh, for a tensor of this shape, in the order of the mesh's hosts. */
export function partsOf({ mesh, placements }: Descriptor, shape: readonly number[]): Part[] {
  return coordinatesOf(mesh).map((coordinate, index) => {
    const { start, end } = wholeOf(shape);
    let term = 0;
    const [starts, ends] = [[...start], [...end]];
    for (const [axis, placement] of placements.entries()) {
      const at = coordinate[axis] as number;
      if (placement === 'P') term = term * (mesh.shape[axis] as number) + at;
      if (typeof placement !== 'number') continue;
      // If two mesh axes split one tensor axis, the first splits it, and the second splits each part.
      const from = starts[placement] as number;
      const bounds = divide((ends[placement] as number) - from, mesh.weights[axis] as readonly number[]);
      starts[placement] = from + (bounds[at] as number);
      ends[placement] = from + (bounds[at + 1] as number);
    }
    return { host: mesh.hosts[index] as number, region: { start: starts, end: ends }, term };
  });
}

/** A descriptor as people write it: "S0", "B", "P", and "(S0, P)" over a mesh of two axes. */
export function textOf({ placements }: Pick<Descriptor, 'placements'>): string {
  const texts = placements.map((placement) => (typeof placement === 'number' ? `S${placement}` : placement));
  return texts.length === 1 ? (texts[0] as string) : `(${texts.join(', ')})`;
}

/** Whether two descriptors lay every tensor the same way. */
export function isSameDescriptor(a: Descriptor, b: Descriptor): boolean {
  return keyOf(a) === keyOf(b);
}

/** A key that is equal for descriptors that lay every tensor the same way. */
export function keyOf({ mesh, placements, towards }: Descriptor): string {
  const key = `${mesh.hosts.join()}/${mesh.shape.join()}/${mesh.weights.join(';')}/${placements.join()}`;
  return towards === undefined ? key : `${key}>${towards}`;
}
