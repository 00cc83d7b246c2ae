import { type Descriptor, keyOf, partsOf } from '../layout/descriptor.js';
import { throughClient } from '../layout/exchange.js';
import { elementsOf, wholeOf } from '../layout/region.js';
import { type Hop, transfer } from '../layout/transfer.js';
import type { LogicalTensor } from './graph.js';

/** A line between each two hosts, and between each host and the client. */
export interface Link {
  /** Bits per second in each direction. */
  readonly bitsPerSecond: number;
  /** Seconds from a request to its reply. */
  readonly roundTrip: number;
}

/**
 * A plan minimizes the moved bytes. Each hop counts as some bytes more, because even a hop with few bytes takes a round
 * trip.
 */
export interface Objective {
  /** Bytes that could travel while a hop waits for its round trip. */
  readonly bytesPerHop: number;
  /** How bytes get from host to host: directly, or by way of the client. */
  readonly route: Route;
}

export type Route = 'direct' | 'client';

/** The costs of the transfers of one planning. Each is computed once. */
export class TransferTable {
  readonly #costs = new Map<string, Map<string, number>>();
  readonly #objective: Objective;

  constructor(objective: Objective) {
    this.#objective = objective;
  }

  /** The cost by the objective. The keys are the keys of the descriptors, if the planner has them already. */
  cost(
    { shape, bytesPerElement, varying = [] }: LogicalTensor,
    from: Descriptor,
    to: Descriptor,
    fromKey: string = keyOf(from),
    toKey: string = keyOf(to),
  ): number {
    // Zeros of a tensor can be laid only where its lengths are known.
    if (varying.length > 0 && to.placements.includes('P') && !hasAll(from, to))
      return Number.POSITIVE_INFINITY;
    const size = `${shape.join('x')}*${bytesPerElement}~${varying.join()}`;
    let ofSize = this.#costs.get(size);
    if (!ofSize) {
      ofSize = new Map();
      this.#costs.set(size, ofSize);
    }
    const key = `${fromKey} ${toKey}`;
    let cost = ofSize.get(key);
    if (cost === undefined) {
      cost = this.#costOf(from, to, { shape, bytesPerElement, varying });
      ofSize.set(key, cost);
    }
    return cost;
  }

  #costOf(
    from: Descriptor,
    to: Descriptor,
    { shape, bytesPerElement, varying }: Omit<LogicalTensor, 'name'>,
  ): number {
    const { bytesPerHop, route } = this.#objective;
    if (route === 'direct') {
      const { bytes, hops } = transfer(from, to, shape, bytesPerElement, bytesPerHop, varying);
      return bytes + hops.filter((hop) => hop.bytes > 0).length * bytesPerHop;
    }
    const { up, down } = throughClient(from, to, shape, bytesPerElement);
    // Inputs leave with the first commands of a run, and outputs come with its last reply.
    return sumOf(up) + sumOf(down) + (up.size > 0 && down.size > 0 ? bytesPerHop : 0);
  }
}

function hasAll(from: Descriptor, to: Descriptor): boolean {
  return to.mesh.hosts.every((host) => from.mesh.hosts.includes(host));
}

/** The sum of these bytes. */
export function sumOf(bytes: ReadonlyMap<number, number>): number {
  return [...bytes.values()].reduce((sum, one) => sum + one, 0);
}

/** Bytes of a whole tensor. */
export function bytesOf({ shape, bytesPerElement }: LogicalTensor): number {
  return elementsOf(wholeOf(shape)) * bytesPerElement;
}

/** Bytes that each host holds of a tensor, by host. */
export function bytesByHost(tensor: LogicalTensor, descriptor: Descriptor): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const { host, region } of partsOf(descriptor, tensor.shape))
    bytes.set(host, (bytes.get(host) ?? 0) + elementsOf(region) * tensor.bytesPerElement);
  return bytes;
}

/** Seconds of a hop: half a round trip. Its pieces travel at the same time, and the pieces of one host share its line. */
export function secondsOf(hop: Hop, { bitsPerSecond, roundTrip }: Link): number {
  const sent = new Map<number, number>();
  const received = new Map<number, number>();
  for (const { from, to, bytes } of hop.pieces) {
    sent.set(from, (sent.get(from) ?? 0) + bytes);
    received.set(to, (received.get(to) ?? 0) + bytes);
  }
  const most = Math.max(0, ...sent.values(), ...received.values());
  return most === 0 ? 0 : roundTrip / 2 + (most * 8) / bitsPerSecond;
}
