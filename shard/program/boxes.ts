import { elementsOf, type Region } from '../layout/region.js';
import type { LocalModel } from './local-model.js';

/** A tensor of a local model that is a region of a larger one. */
interface NamedBox {
  readonly name: string;
  readonly region: Region;
}

/** Joins disjoint boxes to a region. If it is a term of a sum, zeros fill the rest. Returns the tensor's name. */
export function joinBoxes(
  model: LocalModel,
  boxes: readonly NamedBox[],
  whole: Region,
  isTerm: boolean,
): string {
  const covered = boxes.reduce((sum, { region }) => sum + elementsOf(region), 0);
  if (covered === elementsOf(whole)) return joinAlong(model, boxes, 0);
  if (!isTerm) throw new Error('Farlight bug: the boxes of a tensor do not cover it');
  return model.add(
    boxes.map(({ name, region }) =>
      model.pad(
        name,
        region.start.map((at, axis) => at - (whole.start[axis] as number)),
        region.end.map((at, axis) => (whole.end[axis] as number) - at),
      ),
    ),
  );
}

/** Boxes that cover a region lie in a grid: each layer along an axis is joined along the axes behind it first. */
function joinAlong(model: LocalModel, boxes: readonly NamedBox[], axis: number): string {
  const [first] = boxes;
  if (boxes.length === 1 && first) return first.name;
  const layers = new Map<number, NamedBox[]>();
  for (const box of boxes) {
    const at = box.region.start[axis] ?? 0;
    layers.set(at, [...(layers.get(at) ?? []), box]);
  }
  const names = [...layers].sort(([a], [b]) => a - b).map(([, layer]) => joinAlong(model, layer, axis + 1));
  return model.concat(names, axis);
}
