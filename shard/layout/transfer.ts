// What must be moved so that a tensor that is laid out one way is laid out another way. The bytes come from the
// intersections of regions, and so hold for uneven parts too; the closed forms of the literature are checks in the tests.
// (The table of costs by signature: patent CN110955734B. The two steps of an all-reduce: Patarasuk and Yuan, 2009.)
import {
  type Descriptor,
  isSameDescriptor,
  keyOf,
  type Part,
  type Placement,
  partsOf,
} from './descriptor.js';
import { elementsOf, elementsOfUnion, intersection, type Region } from './region.js';

/** A region of one term that one host sends to another. */
export interface Piece {
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly region: Region;
  readonly bytes: number;
}

/** One exchange among the hosts: each piece can travel at the same time as the others. */
export interface Hop {
  readonly from: Descriptor;
  readonly to: Descriptor;
  readonly pieces: readonly Piece[];
  /** Bytes by the sum over all links. */
  readonly bytes: number;
}

/** How a tensor gets from one descriptor to another: no hop, one, or two by way of a third descriptor. */
export interface Transfer {
  readonly hops: readonly Hop[];
  readonly bytes: number;
}

/** Bytes that hosts send to the client (`up`), and that the client sends to hosts (`down`). */
export interface ThroughClient {
  readonly up: number;
  readonly down: number;
}

/**
 * Hosts that want the same region. Where the wanted tensor lies in terms, they are the holders of the terms, and each
 * element must reach exactly one of them; else each group is one host.
 */
function groupsOf(wanted: Descriptor, shape: readonly number[]): Part[][] {
  const groups = new Map<string, Part[]>();
  const isInTerms = wanted.placements.includes('P');
  for (const [index, part] of partsOf(wanted, shape).entries()) {
    const key = isInTerms ? keyWithoutTerms(wanted, index) : String(index);
    const group = groups.get(key);
    if (group) group.push(part);
    else groups.set(key, [part]);
  }
  return [...groups.values()];
}

/** The place of a host on those axes of the mesh along which the tensor does not lie in terms. */
function keyWithoutTerms({ mesh, placements }: Descriptor, index: number): string {
  const key: number[] = [];
  let rest = index;
  for (let axis = mesh.shape.length - 1; axis >= 0; axis -= 1) {
    const length = mesh.shape[axis] as number;
    if (placements[axis] !== 'P') key.push(rest % length);
    rest = Math.floor(rest / length);
  }
  return key.join();
}

/** What is to be received, by group of receivers: each region of a term that somebody has, and who has it. */
function* wantedPieces(have: Descriptor, want: Descriptor, shape: readonly number[]) {
  const tiles = new Map<string, { term: number; region: Region; holders: number[] }>();
  for (const { host, term, region } of partsOf(have, shape)) {
    if (elementsOf(region) === 0) continue;
    const key = `${term}/${region.start.join()}`;
    const tile = tiles.get(key);
    if (tile) tile.holders.push(host);
    else tiles.set(key, { term, region, holders: [host] });
  }
  for (const group of groupsOf(want, shape)) {
    let turn = 0;
    for (const { term, region, holders } of tiles.values()) {
      const shared = intersection(region, (group[0] as Part).region);
      if (!shared) continue;
      // A host that has the piece already is the one that keeps it; else the receivers of a sum take turns.
      const keeper = group.find(({ host }) => holders.includes(host));
      const receiver = keeper ?? (group[turn++ % group.length] as Part);
      yield { term, region: shared, holders, receiver: receiver.host, isThere: keeper !== undefined };
    }
  }
}

/** The exchange that turns one descriptor into another directly: each receiver gets each term that it misses. */
export function hop(
  from: Descriptor,
  to: Descriptor,
  shape: readonly number[],
  bytesPerElement: number,
): Hop {
  const pieces: Piece[] = [];
  if (!isSameDescriptor(from, to)) {
    const sent = new Map<number, number>();
    for (const { term, region, holders, receiver, isThere } of wantedPieces(from, to, shape)) {
      if (isThere) continue;
      // Of several hosts that have it, the one that has sent least so far sends it; the first of equals.
      const sender = holders.reduce((best, host) =>
        (sent.get(host) ?? 0) < (sent.get(best) ?? 0) ? host : best,
      );
      const bytes = elementsOf(region) * bytesPerElement;
      sent.set(sender, (sent.get(sender) ?? 0) + bytes);
      pieces.push({ from: sender, to: receiver, term, region, bytes });
    }
  }
  return { from, to, pieces, bytes: pieces.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/**
 * The transfer that moves the fewest bytes: directly, or by way of a third descriptor on either mesh (the sum of terms
 * that everybody wants is made in parts, and the parts are passed on). Of equals it is the one with fewer hops, then
 * the first in the order of `placementsOf`.
 */
export function transfer(
  from: Descriptor,
  to: Descriptor,
  shape: readonly number[],
  bytesPerElement: number,
): Transfer {
  if (isSameDescriptor(from, to)) return { hops: [], bytes: 0 };
  const direct = hop(from, to, shape, bytesPerElement);
  let best: Transfer = { hops: [direct], bytes: direct.bytes };
  // Without terms to be added no way is shorter than the direct one: each receiver gets what it misses, once.
  if (best.bytes === 0 || !from.placements.includes('P')) return best;
  const seen = new Set([keyOf(from), keyOf(to)]);
  for (const { mesh } of [from, to])
    for (const placements of combinations(placementsOf(shape), mesh.shape.length)) {
      const middle: Descriptor = { mesh, placements };
      if (seen.has(keyOf(middle))) continue;
      seen.add(keyOf(middle));
      const first = hop(from, middle, shape, bytesPerElement);
      if (first.bytes >= best.bytes) continue;
      const second = hop(middle, to, shape, bytesPerElement);
      const bytes = first.bytes + second.bytes;
      if (bytes < best.bytes) best = { hops: [first, second].filter(({ bytes }) => bytes > 0), bytes };
    }
  return best;
}

/**
 * What the same costs where hosts may not talk to each other: the client fetches each piece once, adds the terms that
 * go to the same receiver, and sends each receiver what it misses.
 */
export function throughClient(
  from: Descriptor,
  to: Descriptor,
  shape: readonly number[],
  bytesPerElement: number,
): ThroughClient {
  if (isSameDescriptor(from, to)) return { up: 0, down: 0 };
  const fetched = new Map<string, Region[]>();
  const received = new Map<number, Region[]>();
  for (const { term, region, holders, receiver, isThere } of wantedPieces(from, to, shape)) {
    if (isThere) continue;
    const key = `${term}/${holders.join()}`;
    fetched.set(key, [...(fetched.get(key) ?? []), region]);
    received.set(receiver, [...(received.get(receiver) ?? []), region]);
  }
  const sum = (regions: Iterable<Region[]>) =>
    [...regions].reduce((total, some) => total + elementsOfUnion(some), 0) * bytesPerElement;
  return { up: sum(fetched.values()), down: sum(received.values()) };
}

/** Every way to lay a tensor of this shape along one axis of a mesh, terms last. */
export function placementsOf(shape: readonly number[]): Placement[] {
  return [...shape.keys(), 'B', 'P'];
}

/** Every choice of `count` of these, in order, repetitions included. */
export function combinations<T>(values: readonly T[], count: number): T[][] {
  if (count === 0) return [[]];
  return combinations(values, count - 1).flatMap((head) => values.map((value) => [...head, value]));
}
