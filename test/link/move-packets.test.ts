import { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { MovePackets } from '#farlight/link/channel/move-packets.js';
import { MOVE } from '#farlight/proto/session/moves.js';

/** A stream whose other end takes nothing and says nothing. */
function stuck(): Duplex {
  return new Duplex({ read() {}, write() {} });
}

it('a host that hands a session over waits for a while, and not for ever, for another end that takes nothing', async () => {
  const stream = stuck();
  const packets = new MovePackets(stream);
  await expect(packets.send(MOVE.file, new Uint8Array(1000), 20)).rejects.toThrow(
    'the other host took no whole packet for 0 seconds',
  );
  expect(stream.destroyed).toBe(true);
});

it('a host that hands a session over waits for a while, and not for ever, for another end that says nothing', async () => {
  const stream = stuck();
  await expect(new MovePackets(stream).next(20)).rejects.toThrow('the other host said nothing for 0 seconds');
  expect(stream.destroyed).toBe(true);
});
