import { ProtocolError } from '../../proto/errors.js';
import {
  dataHeader,
  decodeCount,
  decodeObject,
  encodeCount,
  encodeObject,
  encodePacket,
  PACKET,
} from '../../proto/wire/packet.js';

/**
 * A ClientMessage or a HostMessage of proto/farlight.proto, as @grpc/proto-loader reads and writes it: `message` names
 * the member that is there. The values have the types of the .proto file; what they say is the peer's word.
 */
export type SessionMessage = { message?: string } & Record<string, unknown>;

/** The packet for each member of a message. The packets that are missing here never leave a machine. */
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
} as const;

type Member = keyof typeof KINDS;

const MEMBERS = Object.fromEntries(Object.entries(KINDS).map(([member, kind]) => [kind, member])) as Partial<
  Record<number, Member>
>;

/** In front of a packed frame's bytes in its packet: the length of the frame. */
const LENGTH_BYTES = 4;

/**
 * The message for a packet. Its frame is a view of the packet's bytes.
 *
 * @throws ProtocolError where the packet is of a kind that never leaves a machine, or its body is not of its kind.
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
      return decodeObject(body);
    default:
      return {};
  }
}

/**
 * The packet for a message, in the pieces that it is written in. A piece may be a view of the message's bytes.
 *
 * @param token is put into a hello or a resume: a message has none, since gRPC carries it as metadata.
 * @throws ProtocolError where the message has no member that is known.
 */
export function packetOf(message: SessionMessage, token?: string): Uint8Array[] {
  const member = message.message as Member;
  if (!Object.hasOwn(KINDS, member)) throw new ProtocolError('a message is empty, or of a later version');
  const kind = KINDS[member];
  const value = message[member];
  switch (member) {
    case 'frame': {
      const frame = value as Uint8Array;
      return [dataHeader(frame.length), frame];
    }
    case 'packed': {
      const { length, bytes } = value as { length: number; bytes: Uint8Array };
      const announced = new Uint8Array(LENGTH_BYTES);
      new DataView(announced.buffer).setUint32(0, length, true);
      return [dataHeader(LENGTH_BYTES + bytes.length, kind), announced, bytes];
    }
    case 'ack':
    case 'resumed':
      return [encodeCount(kind, value as number)];
    case 'welcome': {
      const { contents, ...welcome } = present(value as object) as { contents?: { filter: Uint8Array } };
      if (!contents) return [encodeObject(kind, welcome)];
      const filter = Buffer.from(contents.filter).toString('base64');
      return [encodeObject(kind, { ...welcome, contents: { ...contents, filter } })];
    }
    case 'hello':
    case 'resume':
    case 'end':
      return [encodeObject(kind, { ...present(value as object), token })];
    default:
      return [encodePacket(kind)];
  }
}

/** Without the members that the sender left out: gRPC reads them as null, as '' or, where they stand for bytes, as 0. */
function present(value: object): object {
  const left = ([name, each]: [string, unknown]) =>
    each !== null && !(name === 'key' && each === '') && !(name === 'windowBytes' && each === 0);
  return Object.fromEntries(Object.entries(value).filter(left));
}
