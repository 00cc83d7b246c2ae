import { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { encodePacket, NOTHING, PACKET } from '#farlight/proto/wire/packet.js';
import type { SessionRequest } from '#farlight/server/daemon/door/front-door.js';
import { ParkedConnection } from '#farlight/server/daemon/door/parked-connection.js';

const PING = encodePacket(PACKET.ping);

/** A connection whose client reads nothing until the test says so. */
function unread() {
  const written: (() => void)[] = [];
  const socket = new Duplex({
    read: () => {},
    write: (_bytes, _encoding, done) => void written.push(done),
    writableHighWaterMark: 100,
    readableHighWaterMark: 100,
  });
  const events: string[] = [];
  new ParkedConnection({ socket, head: NOTHING } as unknown as SessionRequest, 0, {
    onWork: () => events.push('work'),
    onBye: () => events.push('bye'),
    onGone: () => events.push('gone'),
    onFault: (why) => events.push(why),
  });
  return { socket, written, events };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('a client of a parked session that reads no answers to its pings fills no memory of the host, and is served again when it reads', async () => {
  const { socket, written, events } = unread();
  for (let time = 0; time < 1000; time += 1) {
    socket.push(PING);
    await turn();
  }
  expect(socket.writableLength).toBeLessThan(200);
  expect(socket.readableLength).toBeGreaterThan(PING.length * 900);
  // Now it reads everything, and sends a frame.
  socket.push(encodePacket(PACKET.data, Uint8Array.of(1)));
  for (let time = 0; time < 1100 && events.length === 0; time += 1) {
    written.shift()?.();
    await turn();
  }
  expect(events).toEqual(['work']);
  expect(socket.isPaused()).toBe(true);
});
