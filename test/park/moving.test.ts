import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { MovePackets } from '#farlight/link/channel/move-packets.js';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import type { ExecutorChild } from '#farlight/link/executor/executor-child.js';
import { packageVersion } from '#farlight/link/machine/package-version.js';
import type { Moved } from '#farlight/proto/session/handshake.js';
import { MOVE, type MoveOffer } from '#farlight/proto/session/moves.js';
import { noWork } from '#farlight/proto/session/session-counts.js';
import { encodePacket, objectBody, PACKET } from '#farlight/proto/wire/packet.js';
import type { SessionRequest } from '#farlight/server/daemon/door/front-door.js';
import { openMove } from '#farlight/server/daemon/door/grpc-moves.js';
import { Arrivals, type ArrivalsOptions } from '#farlight/server/daemon/sessions/arrivals.js';
import { Departures } from '#farlight/server/daemon/sessions/departures.js';
import { ParkedStore } from '#farlight/server/daemon/sessions/parked-store.js';
import { type ParkingSession, SessionParking } from '#farlight/server/daemon/sessions/parking.js';
import { Daemon } from '#farlight/server/daemon.js';
import { SessionClient } from '../support/clients/session-client.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();

afterEach(() => {
  temporary.remove();
});

const MOVED: Moved = { address: 'grpc://127.0.0.1:7079', sessionId: 'the-id-there' };
const FRAME = encodePacket(PACKET.data, Uint8Array.of(1));

/** A hand-over that the test settles. */
function handing() {
  let settle: { resolve(moved: Moved): void; reject(reason: Error): void } | undefined;
  const done = new Promise<Moved>((resolve, reject) => {
    settle = { resolve, reject };
  });
  const hand = () => done;
  return {
    hand,
    resolve: (moved: Moved) => settle?.resolve(moved),
    reject: (why: Error) => settle?.reject(why),
  };
}

/** A session with an executor, and what happens to it. */
function session(store = new ParkedStore(join(temporary.make(), 'parked'))) {
  const events: string[] = [];
  const child = {
    tell: ({ patienceMs }: { patienceMs?: number }) => void events.push(patienceMs ? 'hurry' : 'park'),
    takeNear: () => undefined,
  } as unknown as ExecutorChild;
  const parking = new SessionParking({ store, idleMs: 0, keepMs: 60_000 }, {
    log: { parked: () => {}, notParked: () => {} },
    resumeMs: 60_000,
    left: () => {},
    start: () => {
      events.push('woken');
      return () => {};
    },
    end: ({ message }: { message: string }) => events.push(message),
    moved: (_: Moved, isTold: boolean) => events.push(isTold ? 'moved' : 'moved, not told'),
  } as unknown as ParkingSession);
  parking.begun(child);
  const parked = () => parking.parked({ bytes: 1, channel: { taken: 0, acknowledged: 0, attempt: 0 } });
  let attempt = 0;
  /** Its client comes back. Returns what it hears. */
  const resume = (head: Uint8Array = new Uint8Array(0)) => {
    const heard: Buffer[] = [];
    const socket = new Duplex({
      read() {},
      write(bytes: Buffer, _, done) {
        heard.push(bytes);
        done();
      },
    });
    attempt += 1;
    parking.resume({ socket, head } as unknown as SessionRequest, { taken: 0, attempt });
    return { socket, heard: () => Buffer.concat(heard).toString('latin1') };
  };
  return { parking, events, parked, resume };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a session that another host is to have', () => {
  it('lets a frame wait while it is handed over, and then tells its client where it is', async () => {
    const { parking, events, parked, resume } = session();
    const { hand, resolve } = handing();
    const moved = parking.parkWithin(1000, hand);
    expect(events).toEqual(['hurry']);
    parked();
    const { heard } = resume(FRAME);
    await turn();
    expect(events).toEqual(['hurry']);
    resolve(MOVED);
    await moved;
    expect(events).toEqual(['hurry', 'moved']);
    expect(heard()).toContain(JSON.stringify(MOVED));
  });

  it('goes on here with the frame that has waited, where no host takes it', async () => {
    const { parking, events, parked, resume } = session();
    const { hand, reject } = handing();
    const moved = parking.parkWithin(1000, hand);
    parked();
    const { heard } = resume(FRAME);
    reject(new Error('it is full'));
    await expect(moved).rejects.toThrow('it is full');
    expect(events).toEqual(['hurry', 'woken']);
    expect(heard()).not.toContain(MOVED.sessionId);
  });

  it('tells a client that comes after it has moved', async () => {
    const { parking, events, parked } = session();
    const { hand, resolve } = handing();
    const moved = parking.parkWithin(1000, hand);
    parked();
    resolve(MOVED);
    await moved;
    expect(events).toEqual(['hurry', 'moved, not told']);
  });

  it('is nowhere where its client ends it while it is handed over', async () => {
    const { parking, events, parked, resume } = session();
    const { hand, resolve } = handing();
    const moved = parking.parkWithin(1000, hand);
    parked();
    const { heard } = resume(encodePacket(PACKET.bye));
    await expect(moved).rejects.toThrow('the session has ended');
    resolve(MOVED);
    await turn();
    expect(events).toEqual(['hurry', 'the session has ended']);
    expect(heard()).not.toContain(MOVED.sessionId);
  });

  it('is asked again while it is at work, and moves then', async () => {
    const { parking, events, parked } = session();
    const { hand, resolve } = handing();
    const moved = parking.parkWithin(60_000, hand);
    parking.notParked({ reason: 'it is at work', isAtWork: true, wasRead: false });
    while (events.length < 2) await new Promise((again) => setTimeout(again, 5));
    parked();
    resolve(MOVED);
    await moved;
    expect(events).toEqual(['hurry', 'hurry', 'moved, not told']);
  });

  it('stays, with the reason, where its time is over', async () => {
    const { parking, events } = session();
    const moved = parking.parkWithin(0, handing().hand);
    parking.notParked({ reason: 'a buffer is mapped', isAtWork: false, wasRead: false });
    await expect(moved).rejects.toThrow('a buffer is mapped');
    expect(events).toEqual(['hurry']);
  });

  it('leaves after it was parked, where that was asked for before', async () => {
    const { parking, events, parked } = session();
    const { hand, resolve } = handing();
    const stays = parking.parkWithin(1000);
    let isMoved = false;
    const moved = parking.parkWithin(1000, hand).then(() => {
      isMoved = true;
    });
    parked();
    await stays;
    await turn();
    expect(isMoved).toBe(false);
    resolve(MOVED);
    await moved;
    expect(events).toEqual(['park', 'moved, not told']);
  });

  it('stays, with the reason, where it still waits for a place when its time is over', async () => {
    const { parking, events, parked, resume } = session();
    parking.park();
    parked();
    resume(FRAME);
    expect(events).toEqual(['park', 'woken']);
    await expect(parking.parkWithin(20, handing().hand)).rejects.toThrow('it waits for a place');
  });

  it('stays, with the reason, where another session is being stored when its time is over', async () => {
    const store = new ParkedStore(join(temporary.make(), 'parked'));
    store.begin();
    const { parking, events } = session(store);
    await expect(parking.parkWithin(0, handing().hand)).rejects.toThrow('storing another session');
    expect(events).toEqual([]);
  });
});

/** Two ends of a connection between hosts. `cut` breaks it after so many writes of the first end. */
function connection(cut = Number.POSITIVE_INFINITY) {
  let left = cut;
  const make = (other: () => Duplex, counts: boolean): Duplex =>
    new Duplex({
      read() {},
      write(bytes: Buffer, _, done) {
        if (counts) left -= 1;
        if (left < 0) {
          here.destroy();
          there.destroy();
        } else {
          other().push(Buffer.from(bytes));
        }
        done();
      },
      final(done) {
        other().push(null);
        done();
      },
      destroy(error, done) {
        setImmediate(() => other().destroy());
        done(error);
      },
    });
  const here: Duplex = make(() => there, true);
  const there: Duplex = make(() => here, false);
  here.on('error', () => {});
  there.on('error', () => {});
  return { here, there };
}

function offer(bytes: number): Omit<MoveOffer, 'sessionId'> {
  return {
    version: packageVersion(),
    protocol: 3,
    tenant: 'one',
    program: 'app.mjs',
    windowBytes: 1 << 20,
    keepsContents: false,
    hasLines: false,
    channel: { taken: 3, acknowledged: 2, attempt: 0 },
    bytes,
    work: noWork(),
  };
}

/** A file at one host, and another host. */
function hosts(
  options: Partial<ArrivalsOptions> & { cut?: number; most?: number; addresses?: string[] } = {},
) {
  const { cut, most = 1 << 30, addresses = ['grpc://127.0.0.1:7079'], ...others } = options;
  const folder = temporary.make();
  const place = { path: join(folder, 'file'), key: new Uint8Array(32).fill(7) };
  const contents = Buffer.alloc(3_000_000, 'the sealed file of a session');
  writeFileSync(place.path, contents);
  const store = new ParkedStore(join(folder, 'there'), most);
  const there: { id: string; bytes: Buffer; key: Uint8Array; isGivenUp: boolean }[] = [];
  const arrivals = new Arrivals({
    from: 'hosts',
    admission: { admit: () => ({ tenant: 'hosts', tokenId: undefined }) },
    store,
    refusal: () => undefined,
    give: async () => {},
    begin: ({ sessionId }, _, { path, key }) => {
      const one = { id: sessionId, bytes: readFileSync(path), key, isGivenUp: false };
      there.push(one);
      const giveUp = () => {
        one.isGivenUp = true;
        store.remove({ path });
      };
      return { awake: Promise.resolve(), giveUp };
    },
    ...others,
  });
  let received: Promise<void> = Promise.resolve();
  const departures = new Departures({
    ...{ store, keepsContents: false, hasLines: false },
    hosts: addresses.map((address) => parseHostAddress(address)),
    open: async () => {
      const { here, there: far } = connection(cut);
      received = arrivals.receive(far, { tenant: 'hosts', tokenId: undefined });
      return here;
    },
  });
  const hand = (until?: number) =>
    departures.hand(offer(contents.length), place, departures.hosts(), () => {}, until);
  return { hand, contents, place, there, store, received: () => received };
}

describe('the way of a stored session to another host', () => {
  it('brings the same bytes and the key, and gives the id there to this host alone', async () => {
    const { hand, contents, place, there } = hosts();
    const moved = await hand();
    expect(moved.address).toBe('grpc://127.0.0.1:7079');
    expect(there).toHaveLength(1);
    expect(there[0]?.id).toBe(moved.sessionId);
    expect(there[0]?.bytes.equals(contents)).toBe(true);
    expect([...(there[0]?.key ?? [])]).toEqual([...place.key]);
    expect(there[0]?.isGivenUp).toBe(false);
  });

  it.each([
    ['the other host refuses the session', { refusal: () => 'its GPU is full' }, 'its GPU is full'],
    ['its disk space is full', { most: 1000 }, '--park-size'],
    [
      'the objects cannot be made again there',
      { begin: () => ({ awake: Promise.reject(new Error('it offers less')), giveUp: () => {} }) },
      'it offers less',
    ],
  ])('tells this host why, where %s', async (_, options, why) => {
    const { hand, there, received } = hosts(options as Partial<ArrivalsOptions>);
    await expect(hand()).rejects.toThrow(why);
    await received();
    expect(there).toEqual([]);
  });

  it('ends where other sessions have taken the room while the file came', async () => {
    const refusals = [undefined, 'its tenant has all of its sessions'];
    const { hand, there, received, store } = hosts({ refusal: () => refusals.shift() });
    await expect(hand()).rejects.toThrow('all of its sessions');
    await received();
    expect(there).toEqual([]);
    expect(store.bytes).toBe(0);
  });

  it('asks the next host where one does not take it, unless its time is over', async () => {
    const addresses = ['grpc://127.0.0.1:7079', 'grpc://127.0.0.1:7080'];
    for (const [until, asked] of [
      [performance.now() + 60_000, 2],
      [performance.now() - 1, 1],
    ] as const) {
      let refusals = 0;
      const refusal = () => {
        refusals += 1;
        return 'its GPU is full';
      };
      const { hand, received } = hosts({ refusal, addresses });
      await expect(hand(until)).rejects.toThrow('its GPU is full');
      await received();
      expect(refusals).toBe(asked);
    }
  });

  it('leaves the session with exactly one host, wherever it is cut', async () => {
    const results: string[] = [];
    for (let cut = 0; cut < 14; cut += 1) {
      const { hand, there, received, store } = hosts({ cut });
      const outcome = await hand().then(
        () => 'there',
        () => 'here',
      );
      await received();
      results.push(outcome);
      // Where this host keeps the session, the other one has nothing, or a session of which no client knows the id.
      if (outcome === 'there') expect(there[0]?.isGivenUp).toBe(false);
      else expect(store.bytes).toBe(0);
    }
    expect(new Set(results)).toEqual(new Set(['here', 'there']));
  });

  it('keeps the session here, where the acknowledgement is lost', async () => {
    const { here, there } = connection();
    const arrivals = hosts();
    expect(arrivals.there).toEqual([]);
    const departures = new Departures({
      ...{ store: arrivals.store, keepsContents: false, hasLines: false },
      hosts: [parseHostAddress('grpc://127.0.0.1:7079')],
      open: async () => {
        // The other host takes everything, and its last packet does not come through.
        there.on('data', () => {});
        setTimeout(() => there.destroy(), 50);
        return here;
      },
    });
    const handed = departures.hand(offer(1), arrivals.place, departures.hosts(), () => {});
    await expect(handed).rejects.toThrow(/grpc:\/\/127.0.0.1:7079 does not take it/);
  });

  it('ends where the other host has another session of that id', async () => {
    const parking = { root: join(temporary.make(), 'parked'), idleMs: 0 };
    const moveFrom = 'default';
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', warm: 0, parking, moveFrom });
    const client = new SessionClient(remoteHost(daemon.url));
    try {
      const { sessionId } = await client.welcome;
      const packets = new MovePackets(await openMove(parseHostAddress(daemon.url)));
      await packets.send(MOVE.offer, objectBody({ ...offer(1), sessionId }));
      await expect(packets.expect(MOVE.ready)).rejects.toThrow('another session of this id');
      packets.close();
    } finally {
      client.link.close();
      await daemon.close();
    }
  });
});
