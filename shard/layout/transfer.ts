// The bytes that must move to change the layout of a tensor. They follow from the intersections of regions, so they are
// right for uneven parts too. The tests compare them with the closed forms of the literature.
// (The table of costs by signature: patent CN110955734B. The two steps of an all-reduce: Patarasuk and Yuan, 2009.)
import {
  coordinatesOf,
  type Descriptor,
  isSameDescriptor,
  keyOf,
  type Part,
  type Placement,
  partsOf,
} from './descriptor.js';
import { elementsOf, intersection, type Region } from './region.js';

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

/**
 * How a tensor gets from one descriptor to another: by no hop, by one, or by two over a third descriptor. A hop without
 * bytes is no exchange: each host has its part already.
 */
export interface Transfer {
  readonly hops: readonly Hop[];
  readonly bytes: number;
}

/**
 * Hosts that together want a region once. If the wanted tensor lies in terms, they hold the terms, and each element must
 * reach exactly one of them. Otherwise each group is one host.
 */
function groupsOf(wanted: Descriptor, shape: readonly number[]): Part[][] {
  const groups = new Map<string, Part[]>();
  const coordinates = coordinatesOf(wanted.mesh);
  for (const [index, part] of partsOf(wanted, shape).entries()) {
    // Hosts that differ only along axes of terms are of one group.
    const key = coordinates[index]?.filter((_, axis) => wanted.placements[axis] !== 'P').join() ?? '';
    const group = groups.get(key);
    if (group) group.push(part);
    else groups.set(key, [part]);
  }
  return [...groups.values()];
}

/** The pieces for each group of receivers: each region of a term that some host has, with the hosts that have it. */
export function* wantedPieces(have: Descriptor, want: Descriptor, shape: readonly number[]) {
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
      // A receiver that has the piece already keeps it. Otherwise the receivers of a sum take turns.
      const keeper = group.find(({ host }) => holders.includes(host));
      const receiver = keeper ?? (group[turn++ % group.length] as Part);
      yield { term, region: shared, holders, receiver: receiver.host, isThere: keeper !== undefined };
    }
  }
}

/** The host that sends a region: of its holders, the host that has sent least so far, or the first of equals. */
export function senderOf(holders: readonly number[], sent: ReadonlyMap<number, number>): number {
  return holders.reduce((best, one) => ((sent.get(one) ?? 0) < (sent.get(best) ?? 0) ? one : best));
}

/** A region of one term that a receiver needs, and its sender: another host, or the receiver itself. */
export interface Delivery {
  readonly receiver: number;
  readonly sender: number;
  readonly term: number;
  readonly region: Region;
}

/** The deliveries of the direct exchange from one descriptor to another. Each receiver gets each term that it misses. */
export function deliveries(from: Descriptor, to: Descriptor, shape: readonly number[]): Delivery[] {
  const sent = new Map<number, number>();
  return [...wantedPieces(from, to, shape)].map(({ term, region, holders, receiver, isThere }) => {
    const sender = isThere ? receiver : senderOf(holders, sent);
    if (!isThere) sent.set(sender, (sent.get(sender) ?? 0) + elementsOf(region));
    return { receiver, sender, term, region };
  });
}

/** The direct exchange from one descriptor to another: what goes over the lines between hosts. */
export function hop(
  from: Descriptor,
  to: Descriptor,
  shape: readonly number[],
  bytesPerElement: number,
): Hop {
  const pieces = isSameDescriptor(from, to)
    ? []
    : deliveries(from, to, shape)
        .filter(({ sender, receiver }) => sender !== receiver)
        .map(({ sender, receiver, term, region }): Piece => {
          return { from: sender, to: receiver, term, region, bytes: elementsOf(region) * bytesPerElement };
        });
  return { from, to, pieces, bytes: pieces.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/**
 * The cheapest transfer: it costs its bytes, and `bytesPerHop` for each exchange. It is direct, or it goes over a third
 * descriptor on either mesh. For a sum that all hosts want, each host then adds up a part, and passes the part on. Of equal
 * transfers the one with fewer hops wins, then the first in the order of `placementsOf`. (A ring moves the same bytes in
 * more exchanges, so it is never cheaper where each host has a line to each other.) On the way a tensor is not split along
 * its `varying` axes, whose lengths differ from run to run. Zeros of such a tensor are laid only where a part of it is.
 */
export function transfer(
  from: Descriptor,
  to: Descriptor,
  shape: readonly number[],
  bytesPerElement: number,
  bytesPerHop = 0,
  varying: readonly number[] = [],
): Transfer {
  if (isSameDescriptor(from, to)) return { hops: [], bytes: 0 };
  const direct = hop(from, to, shape, bytesPerElement);
  let best: Transfer = { hops: [direct], bytes: direct.bytes };
  const costOf = ({ hops, bytes }: Transfer) =>
    bytes + hops.filter((each) => each.bytes > 0).length * bytesPerHop;
  // Without a sum no way is shorter than the direct one: each receiver gets each missing byte once.
  if (best.bytes === 0 || !from.placements.includes('P')) return best;
  const seen = new Set([keyOf(from), keyOf(to)]);
  const ways = placementsOf(shape).filter((way) => typeof way !== 'number' || !varying.includes(way));
  for (const { mesh } of [from, to])
    for (const placements of combinations(ways, mesh.shape.length)) {
      const isElsewhere = mesh.hosts.some((host) => !from.mesh.hosts.includes(host));
      if (varying.length > 0 && isElsewhere && placements.includes('P')) continue;
      const middle: Descriptor = { mesh, placements };
      // If a host had no part, all would go over the lines of the others, and its lengths would be unknown.
      if (partsOf(middle, shape).some(({ region }) => elementsOf(region) === 0)) continue;
      if (seen.has(keyOf(middle))) continue;
      seen.add(keyOf(middle));
      const first = hop(from, middle, shape, bytesPerElement);
      if (first.bytes >= best.bytes) continue;
      const second = hop(middle, to, shape, bytesPerElement);
      const other: Transfer = { hops: [first, second], bytes: first.bytes + second.bytes };
      if (other.bytes < best.bytes && costOf(other) < costOf(best)) best = other;
    }
  return best;
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
