import { ProtocolError } from '../errors.js';
import { decodeObject } from '../wire/packet.js';
import type { Compression } from './compression.js';
import type { ParkedChannel } from './executor-messages.js';
import type { WorkCounts } from './session-counts.js';

/**
 * The packets by which a host hands a parked session to another one, by their first byte. The host that has the session
 * sends `offer`, and after `ready` the file and its key. `taken` says that the session is at the other host, which runs
 * it when its client comes. `refused` may come at any time before.
 */
export const MOVE = {
  /** A MoveOffer. */
  offer: 0,
  /** Nothing: the other host may take the session. */
  ready: 1,
  /** The next bytes of the sealed file. */
  file: 2,
  /** The file's key, when all of its bytes were sent. */
  key: 3,
  /** Nothing: the other host has made everything again. */
  taken: 4,
  /** Why the other host does not take the session, `message`. */
  refused: 5,
  /** `sessionId`: the client of a session wants it, to keep it until another host has it. `offer` is the reply. */
  fetch: 6,
} as const;

/** A session that is offered to another host. */
export interface MoveOffer {
  /** Of the package: no other version can read the file. */
  version: string;
  /** The protocol that the session speaks. */
  protocol: number;
  /** The session's id at the other host. A client that knows it can resume the session there. */
  sessionId: string;
  tenant: string;
  /** The program's name from its Hello. */
  program: string;
  /** Absent if frames are not compressed. */
  compression?: Compression | undefined;
  /** Bytes of frames that the client may have under way. */
  windowBytes: number;
  /** Whether the client may name contents, and have lines to sessions of other hosts. */
  keepsContents: boolean;
  hasLines: boolean;
  channel: ParkedChannel;
  /** Bytes of the file. */
  bytes: number;
  /** The session's work so far. */
  work: WorkCounts;
}

/** @throws ProtocolError where the body is no offer. */
export function decodeOffer(body: Uint8Array): MoveOffer {
  const offer = decodeObject(body) as unknown as MoveOffer;
  const { version, sessionId, tenant, program, channel, work } = offer;
  const texts = [version, sessionId, tenant, program].every((each) => typeof each === 'string');
  const { taken, acknowledged, attempt } = (channel ?? {}) as Partial<ParkedChannel>;
  const counts = [offer.protocol, offer.windowBytes, offer.bytes, taken, acknowledged, attempt];
  if (!texts || !counts.every(isCount) || typeof work !== 'object' || work === null)
    throw new ProtocolError('an offer of a session is incomplete');
  return offer;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
