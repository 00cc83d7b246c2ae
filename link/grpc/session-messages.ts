import { ProtocolError } from '../../proto/errors.js';
import {
  countBody,
  decodeCount,
  decodeObject,
  NOTHING,
  objectBody,
  PACKET,
  type PacketKind,
} from '../../proto/wire/packet.js';

/**
 * A ClientMessage or a HostMessage of proto/farlight.proto, as @grpc/proto-loader reads and writes it: `message` names
 * the member that is present. The values have the types of the .proto file, and are not checked further.
 */
export type SessionMessage = { message?: string } & Record<string, unknown>;

/** The packet for each member of a message. Packets without a member never leave a machine. */
const KINDS = {
  hello: PACKET.hello,
  resume: PACKET.resume,
  welcome: PACKET.welcome,
  resumed: PACKET.resumed,
  frame: PACKET.data,
  packed: PACKET.packed,
  ack: PACKET.ack,
  ping: PACKET.ping,
  pong: PACKET.pong,
  bye: PACKET.bye,
  end: PACKET.end,
  moved: PACKET.moved,
} as const;

type Member = keyof typeof KINDS;

const MEMBERS = Object.fromEntries(Object.entries(KINDS).map(([member, kind]) => [kind, member])) as Partial<
  Record<number, Member>
>;

/** The bytes before a packed frame in its packet: the length of the frame. */
const LENGTH_BYTES = 4;

/**
 * The message for a packet. Its frame is a view of the packet's bytes.
 *
 * @throws ProtocolError if packets of this kind never leave a machine, or if the body does not fit the kind.
 */
export function messageOf(kind: number | undefined, body: Uint8Array): SessionMessage {
  const member = MEMBERS[kind ?? -1];
  if (!member) throw new ProtocolError(`a packet of kind ${kind} does not cross a network`);
  return { [member]: readValue(member, body) };
}

function readValue(member: Member, body: Uint8Array): unknown {
  switch (member) {
    case 'frame':
      return body;
    case 'packed':
      if (body.length < LENGTH_BYTES) throw new ProtocolError('a packed frame is cut off');
      return {
        length: new DataView(body.buffer, body.byteOffset).getUint32(0, true),
        bytes: body.subarray(LENGTH_BYTES),
      };
    case 'ack':
    case 'resumed':
      return decodeCount(body);
    case 'welcome': {
      const { contents, ...welcome } = decodeObject(body);
      const { filter, largestBytes } = (contents ?? {}) as { filter?: unknown; largestBytes?: unknown };
      if (typeof filter !== 'string') return welcome;
      return { ...welcome, contents: { filter: Buffer.from(filter, 'base64'), largestBytes } };
    }
    case 'hello':
    case 'resume':
    case 'end':
    case 'moved':
      return decodeObject(body);
    default:
      return {};
  }
}

/**
 * The packet for a message. Its body may be a view of the message's bytes.
 *
 * @param token is put into a hello or a resume: a message has none, since gRPC carries it as metadata.
 * @throws ProtocolError if the message has no known member.
 */
export function packetOf(message: SessionMessage, token?: string): { kind: PacketKind; body: Uint8Array } {
  const member = message.message as Member;
  if (!Object.hasOwn(KINDS, member)) throw new ProtocolError('a message is empty, or of a later version');
  return { kind: KINDS[member], body: bodyOf(member, message[member], token) };
}

function bodyOf(member: Member, value: unknown, token: string | undefined): Uint8Array {
  switch (member) {
    case 'frame':
      return value as Uint8Array;
    case 'packed': {
      const { length, bytes } = value as { length: number; bytes: Uint8Array };
      const body = new Uint8Array(LENGTH_BYTES + bytes.length);
      new DataView(body.buffer).setUint32(0, length, true);
      body.set(bytes, LENGTH_BYTES);
      return body;
    }
    case 'ack':
    case 'resumed':
      return countBody(value as number);
    case 'welcome': {
      const { contents, ...welcome } = present(value as object) as { contents?: { filter: Uint8Array } };
      if (!contents) return objectBody(welcome);
      const filter = Buffer.from(contents.filter).toString('base64');
      return objectBody({ ...welcome, contents: { ...contents, filter } });
    }
    case 'hello':
    case 'resume':
    case 'end':
    case 'moved':
      return objectBody({ ...present(value as object), token });
    default:
      return NOTHING;
  }
}

/** Removes the members that the sender left out: gRPC reads them as null, '' or 0. */
function present(value: object): object {
  const left = ([name, each]: [string, unknown]) =>
    each !== null &&
    !(name === 'key' && each === '') &&
    !(name === 'windowBytes' && each === 0) &&
    !(name === 'moves' && each === false);
  return Object.fromEntries(Object.entries(value).filter(left));
}
