import type { Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { encodePacket, NOTHING, PACKET } from '#farlight/proto/wire/packet.js';
import type { SessionRequest } from '#farlight/server/daemon/door/front-door.js';
import { ParkedClient } from '#farlight/server/daemon/sessions/parked-client.js';
import { until } from '../support/machine/processes.js';

const FRAME = encodePacket(PACKET.data, Uint8Array.of(1));
const MOVED = { address: 'grpc://127.0.0.1:7079', sessionId: 'there' };

function clientOf(resumeMs: number) {
  const events: string[] = [];
  const client = new ParkedClient(resumeMs, {
    onWork: () => events.push('work'),
    onLeft: () => events.push('left'),
    onBye: () => events.push('bye'),
    onFault: ({ code }) => events.push(code),
    onGone: () => events.push('gone'),
  });
  return { client, events };
}

/** A connection of a client, and the kinds of the packets that were written to it. */
function connection(head: Uint8Array = NOTHING) {
  const written: (number | undefined)[] = [];
  const socket = new Duplex({
    read: () => {},
    write: (bytes: Buffer, _encoding, done) => {
      written.push(bytes[4]);
      done();
    },
  });
  return { socket, written, request: { socket, head } as unknown as SessionRequest };
}

describe('the client of a parked session', () => {
  it('that leaves while it waits with a frame has its time to come back from then on', async () => {
    const { client, events } = clientOf(1);
    const { socket, request } = connection(FRAME);
    client.came(request, 0);
    expect(client.waiting?.socket).toBe(socket);
    socket.destroy();
    await until(() => events.includes('gone'));
    expect(events).toEqual(['work', 'left', 'gone']);
    expect(client.waiting).toBeUndefined();
  });

  it('is not told of any more once an executor has its connection', async () => {
    const { client, events } = clientOf(60_000);
    const { socket, request } = connection(FRAME);
    client.came(request, 0);
    expect(client.take()?.socket).toBe(socket);
    client.end({ code: 'DISCONNECTED', message: 'over' });
    expect(socket.destroyed).toBe(false);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.destroy();
    await closed;
    expect(events).toEqual(['work']);
  });

  it('has one connection: the one before is closed, at rest or with a frame', async () => {
    const { client, events } = clientOf(60_000);
    const [resting, waiting, last] = [connection(), connection(FRAME), connection()];
    client.came(resting.request, 0);
    client.came(waiting.request, 0);
    client.came(last.request, 0);
    await new Promise((resolve) => setImmediate(resolve));
    expect([resting, waiting, last].map(({ socket }) => socket.destroyed)).toEqual([true, true, false]);
    expect(events).toEqual(['work']);
    client.end({ code: 'DISCONNECTED', message: 'over' });
  });

  it.each([
    ['at rest', NOTHING],
    ['with a frame', FRAME],
  ])('that is here, %s, is told which host has its session', (_how, head) => {
    const { client } = clientOf(60_000);
    const { request, written } = connection(head);
    client.came(request, 0);
    expect(client.redirect(MOVED)).toBe(true);
    expect(written).toEqual([PACKET.resumed, PACKET.moved]);
  });

  it('that is away is not told which host has its session', () => {
    const { client } = clientOf(60_000);
    client.away();
    expect(client.redirect(MOVED)).toBe(false);
  });

  it('that is near is away only once its end of the socket is closed', async () => {
    const { client, events } = clientOf(1);
    const near = new PassThrough({ allowHalfOpen: true });
    near.once('close', () => events.push('closed'));
    client.away(near as unknown as Socket);
    near.destroy();
    await until(() => events.includes('gone'));
    expect(events).toEqual(['closed', 'gone']);
  });
});
