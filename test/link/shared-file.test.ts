import { once } from 'node:events';
import fs, {
  chmodSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Channel } from '#farlight/link/channel/channel.js';
import { Connection } from '#farlight/link/channel/connection.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import { SharedFile } from '#farlight/link/near/shared-file.js';
import { SharedFrames } from '#farlight/link/near/shared-frames.js';
import { SocketCarrier } from '#farlight/link/near/socket-carrier.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { objectBody, PACKET, placeBody } from '#farlight/proto/wire/packet.js';

/** The files are memory of Linux, where a container may have none. */
const onLinux = describe.runIf(existsSync('/dev/shm'));

const SLOTS = 16;
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

const pathOf = (name: string) => `/dev/shm/${name}`;

function make(): SharedFile {
  const file = SharedFile.make();
  if (!file) throw new Error('there is no shared memory here');
  cleanups.push(() => {
    file.forget();
    file.close();
  });
  return file;
}

function open(name: string): SharedFile | undefined {
  const file = SharedFile.open(name);
  if (file) cleanups.push(() => file.close());
  return file;
}

/** Bytes that tell which frame they are of, and where. */
function bytes(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + seed * 7 + (at >> 8)) & 0xff);
}

/** Whether these are the same frames; `toEqual` takes seconds for a megabyte. */
function same(frames: Uint8Array[], others: Uint8Array[]): boolean {
  return frames.every((frame, at) => Buffer.compare(frame, others[at] ?? new Uint8Array()) === 0);
}

onLinux('a shared file', () => {
  it('gives each side the bytes of the other, both ways at once', () => {
    const made = make();
    const opened = open(made.name) as SharedFile;
    const [up, down] = [bytes(LIMITS.frameBytes, 1), bytes(70_000, 2)];
    const slots = [made.place(up, 1), opened.place(down, 1)] as [number, number];
    expect(same([opened.take(slots[0], up.length), made.take(slots[1], down.length)], [up, down])).toBe(true);
  });

  it('has a slot for each frame of a window, and then none until the first ones are released', () => {
    const file = make();
    for (let number = 1; number <= SLOTS; number += 1) {
      expect(file.full).toBe(false);
      expect(file.place(bytes(10, number), number)).toBe(number - 1);
    }
    expect(file.full).toBe(true);
    expect(file.place(bytes(10, 0), 17)).toBeUndefined();
    expect(file.release(2)).toBe(true);
    expect(file.release(2)).toBe(false);
    expect([file.place(bytes(10, 0), 17), file.place(bytes(10, 0), 18)]).toEqual([0, 1]);
    expect(file.full).toBe(true);
  });

  it('a shared file is deleted when its maker forgets its name, and is unusable once closed', () => {
    const file = make();
    expect(existsSync(pathOf(file.name))).toBe(true);
    file.forget();
    expect(existsSync(pathOf(file.name))).toBe(false);
    file.forget();
    file.close();
    file.close();
    expect(file.place(bytes(10, 0), 1)).toBeUndefined();
    expect(() => file.take(0, 10)).toThrow('no frame of 10 bytes in slot 0');
  });

  it('a shared file is read within its bounds only, and reports that the peer has cut it short', () => {
    const file = make();
    for (const [slot, length] of [
      [SLOTS, 1],
      [2 ** 32 - 1, 1],
      [0, 0],
      [0, LIMITS.frameBytes + 1],
    ] as const)
      expect(() => file.take(slot, length)).toThrow(`no frame of ${length} bytes in slot ${slot}`);
    truncateSync(pathOf(file.name), 100);
    expect(() => file.take(0, 200)).toThrow('the shared file was cut short');
  });

  it('a shared file is opened only by a plain name, and only if no other user can have made it', () => {
    const { name } = make();
    const other = name.replace(/.{4}$/, 'beef');
    cleanups.push(() => rmSync(pathOf(other), { force: true }));
    expect(open(`../shm/${name}`)).toBeUndefined();
    expect(open(`${name}/`)).toBeUndefined();
    expect(open(other)).toBeUndefined();
    symlinkSync(pathOf(name), pathOf(other));
    expect(open(other)).toBeUndefined();
    rmSync(pathOf(other));
    writeFileSync(pathOf(other), 'of another length', { mode: 0o600 });
    expect(open(other)).toBeUndefined();
    rmSync(pathOf(other));
    linkSync(pathOf(name), pathOf(other));
    expect(open(other)).toBeDefined();
    chmodSync(pathOf(name), 0o660);
    expect(open(name)).toBeUndefined();
  });
});

/** Makes a call of the file system fail, also for modules that have imported it by name. */
function failing(
  call: 'readdirSync' | 'ftruncateSync' | 'fstatSync' | 'readSync',
  before: (argument: unknown) => void = () => {},
): void {
  const mock = vi.spyOn(fs, call).mockImplementation((argument: unknown) => {
    before(argument);
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  });
  syncBuiltinESMExports();
  cleanups.push(() => {
    mock.mockRestore();
    syncBuiltinESMExports();
  });
}

onLinux('where the system refuses a call, a shared file', () => {
  /** How many files this process has open. */
  const open = () => readdirSync('/proc/self/fd').length;

  it('a shared file is made although the folder cannot be listed', () => {
    failing('readdirSync');
    expect(existsSync(pathOf(make().name))).toBe(true);
  });

  it('a shared file that gets no length is not made, and leaves neither a name nor a descriptor', () => {
    const before = open();
    let path = '';
    failing('ftruncateSync', (fd) => {
      path = readlinkSync(`/proc/self/fd/${fd}`);
    });
    expect(SharedFile.make()).toBeUndefined();
    expect(path).toMatch(/^\/dev\/shm\/farlight-/);
    expect([existsSync(path), open()]).toEqual([false, before]);
  });

  it('a shared file that cannot be examined is not opened, and leaves no descriptor', () => {
    const { name } = make();
    const before = open();
    failing('fstatSync');
    expect(SharedFile.open(name)).toBeUndefined();
    expect(open()).toBe(before);
  });

  it('a shared file that cannot be read breaks its connection, and not the process', () => {
    const file = make();
    failing('readSync');
    expect(() => file.take(0, 10)).toThrow(ProtocolError);
  });
});

interface End {
  channel: Channel;
  connection: Connection;
  frames: Uint8Array[];
  log: string[];
}

function end(socket: Socket, channel: Channel): Omit<End, 'frames'> {
  const log: string[] = [];
  const connection = new Connection(new SocketCarrier(socket), {
    channel,
    events: {
      onPacket: (kind) => log.push(`packet ${kind}`),
      onBroken: ({ message }) => log.push(`broken: ${message}`),
      onGone: () => log.push('gone'),
    },
  });
  return { channel, connection, log };
}

function channel(): { channel: Channel; frames: Uint8Array[] } {
  const frames: Uint8Array[] = [];
  return { channel: new Channel({ onFrame: (frame) => frames.push(frame) }), frames };
}

/** Two ends of a connection of this machine, of which the host opens what the client offers. */
async function connected(client = channel(), host = channel()): Promise<{ client: End; host: End }> {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-ends-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const { promise: accepted, resolve } = deferred<Socket>();
  const server = createServer({ pauseOnConnect: false }, resolve);
  cleanups.push(() => server.close());
  const path = join(folder, 'socket');
  await once(server.listen({ path }), 'listening');
  const socket = connect({ path });
  await once(socket, 'connect');
  const theirs = await accepted;
  cleanups.push(() => socket.destroy());
  cleanups.push(() => theirs.destroy());
  const ends = {
    client: { ...end(socket, client.channel), frames: client.frames },
    host: { ...end(theirs, host.channel), frames: host.frames },
  };
  cleanups.push(() => ends.client.connection.release());
  cleanups.push(() => ends.host.connection.release());
  ends.host.connection.use(SharedFrames.opening());
  return ends;
}

/** Looks at each turn of the event loop: what is done when it holds is to come in the midst of other things. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

onLinux('two ends of a connection', () => {
  it('connections carry long frames in the shared file and short ones beside it, once and in order, both ways', async () => {
    const { client, host } = await connected();
    const place = vi.spyOn(SharedFile.prototype, 'place');
    cleanups.push(() => place.mockRestore());
    const file = make();
    client.connection.use(SharedFrames.offering(file));
    await until(() => !existsSync(pathOf(file.name)));
    client.channel.attach(client.connection, 0);
    host.channel.attach(host.connection, 0);
    const sent = Array.from({ length: 60 }, (_, n) => bytes(n % 3 ? 200_000 + n : 10 + n, n));
    for (const frame of sent) {
      client.channel.send(frame);
      host.channel.send(frame);
    }
    await until(() => client.frames.length === 60 && host.frames.length === 60);
    expect([same(host.frames, sent), same(client.frames, sent)]).toEqual([true, true]);
    const placed = place.mock.results.filter(({ value }) => value !== undefined);
    expect(placed).toHaveLength(2 * sent.filter(({ length }) => length > 200_000).length);
    expect([client.log, host.log]).toEqual([[], []]);
  });

  it.each([
    ['a place without a file', PACKET.placed, placeBody(0, 100), 'no file is shared'],
    ['a malformed place', PACKET.placed, new Uint8Array(7), 'a place is not 8 bytes long'],
    ['an offer that is no object', PACKET.offer, new Uint8Array(1), 'a packet carries no object'],
  ])('a connection breaks if the peer sends %s', async (_, kind, body, why) => {
    const { client, host } = await connected();
    client.connection.send(kind, body);
    await until(() => host.log.length > 0);
    expect(host.log).toEqual([`broken: ${why}`]);
  });

  it('a file that is offered on a lost connection is deleted', async () => {
    const { client } = await connected();
    client.connection.release();
    const file = make();
    client.connection.use(SharedFrames.offering(file));
    expect(existsSync(pathOf(file.name))).toBe(false);
    expect(file.place(bytes(10, 0), 1)).toBeUndefined();
  });

  it('a connection shares one file at most, and opens no other file that the client names', async () => {
    const { client, host } = await connected();
    const offer = (name: unknown) => client.connection.send(PACKET.offer, objectBody({ name }));
    offer('../../etc/passwd');
    offer(7);
    await until(() => client.log.length === 2);
    // The client made no offer, so these replies are a fault of its peer.
    expect(client.log).toEqual([`packet ${PACKET.offerReply}`, `packet ${PACKET.offerReply}`]);
    client.connection.use(SharedFrames.offering(make()));
    offer(make().name);
    await until(() => host.log.length > 0);
    expect(host.log).toEqual(['broken: a second file is offered']);
  });
});
