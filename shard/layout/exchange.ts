import { CLIENT, type Descriptor, isSameDescriptor } from './descriptor.js';
import { elementsOf, type Region } from './region.js';
import { senderOf, wantedPieces } from './transfer.js';

/** A region of one term that the client fetches from a host, once for all that want it. */
export interface Fetch {
  readonly host: number;
  readonly term: number;
  readonly region: Region;
}

/**
 * A region that a host, or the client, has after the exchange. It is a sum: of the terms that the client sends, in their
 * order, and of a term that the receiver has itself. If the tensor does not lie in terms, it is one of the two.
 */
export interface Box {
  readonly receiver: number;
  readonly region: Region;
  readonly sent: readonly number[];
  readonly kept: number | undefined;
}

/** How a tensor is laid anew by way of the client, where hosts do not talk to each other. It is one exchange. */
export interface Exchange {
  readonly fetches: readonly Fetch[];
  readonly boxes: readonly Box[];
}

/** Bytes that hosts send to the client (`up`), and that the client sends to hosts (`down`), by host. */
export interface ThroughClient {
  readonly up: ReadonlyMap<number, number>;
  readonly down: ReadonlyMap<number, number>;
}

/**
 * The exchange from one descriptor to another. The regions that it fetches from one term are disjoint, and so are the
 * boxes of one receiver. A box is missing where nothing is to be had: that part of a term is zero.
 */
export function exchange(from: Descriptor, to: Descriptor, shape: readonly number[]): Exchange {
  const fetches = new Map<string, Fetch>();
  const boxes = new Map<string, Box>();
  const sent = new Map<number, number>();
  for (const { term, region, holders, receiver, isThere } of wantedPieces(from, to, shape)) {
    const at = region.start.join();
    const key = `${receiver}/${at}`;
    const box = boxes.get(key) ?? { receiver, region, sent: [], kept: undefined };
    boxes.set(key, isThere ? { ...box, kept: term } : { ...box, sent: [...box.sent, term] });
    if (isThere || fetches.has(`${term}/${at}`)) continue;
    const host = senderOf(holders, sent);
    sent.set(host, (sent.get(host) ?? 0) + elementsOf(region));
    fetches.set(`${term}/${at}`, { host, term, region });
  }
  return {
    fetches: [...fetches.values()],
    boxes: [...boxes.values()].map((box) => {
      const { kept } = box;
      const isFetched = kept !== undefined && fetches.has(`${kept}/${box.region.start.join()}`);
      // If the client has the receiver's own term too, it adds that as well: then all receivers get the same bits.
      return isFetched && box.sent.length > 0
        ? { ...box, sent: [...box.sent, kept].sort((a, b) => a - b), kept: undefined }
        : box;
    }),
  };
}

/** The bytes of an exchange. The client itself is no line. */
export function throughClient(
  from: Descriptor,
  to: Descriptor,
  shape: readonly number[],
  bytesPerElement: number,
): ThroughClient {
  const up = new Map<number, number>();
  const down = new Map<number, number>();
  if (isSameDescriptor(from, to)) return { up, down };
  const count = (bytes: Map<number, number>, host: number, region: Region) => {
    if (host !== CLIENT) bytes.set(host, (bytes.get(host) ?? 0) + elementsOf(region) * bytesPerElement);
  };
  const { fetches, boxes } = exchange(from, to, shape);
  for (const { host, region } of fetches) count(up, host, region);
  for (const { receiver, region, sent } of boxes) if (sent.length > 0) count(down, receiver, region);
  return { up, down };
}
