import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import type { ExecutorChild } from '#farlight/link/executor/executor-child.js';
import { encodePacket, PACKET } from '#farlight/proto/wire/packet.js';
import type { SessionRequest } from '#farlight/server/daemon/door/front-door.js';
import { IdleWatch } from '#farlight/server/daemon/sessions/idle-watch.js';
import { ParkedStore } from '#farlight/server/daemon/sessions/parked-store.js';
import { type ParkingSession, SessionParking } from '#farlight/server/daemon/sessions/parking.js';
import { ENDED, SessionEnds } from '#farlight/server/daemon/sessions/session-ends.js';
import { parkSession } from '#farlight/server/executor/park/park.js';
import type { SessionParts } from '#farlight/server/executor/park/session-state.js';
import { AtWork, Unparkable } from '#farlight/server/executor/wire/endpoint.js';
import { until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();

afterEach(() => {
  temporary.remove();
});

/** A session that is parked, of which an executor has the connection to bring it back. */
function waking(keepMs: number) {
  const ends: string[] = [];
  const store = new ParkedStore(join(temporary.make(), 'parked'));
  const child = { tell: () => {}, takeNear: () => undefined } as unknown as ExecutorChild;
  const session = {
    log: { parked: () => {}, unparked: () => {} },
    resumeMs: 60_000,
    left: () => {},
    start: () => () => {},
    end: ({ message }: { message: string }) => ends.push(message),
  } as unknown as ParkingSession;
  const parking = new SessionParking({ store, idleMs: 0, keepMs }, session);
  parking.begun(child);
  parking.park();
  parking.parked({ bytes: 1, channel: { taken: 0, acknowledged: 0, attempt: 0 } });
  const head = encodePacket(PACKET.data, Uint8Array.of(1));
  const request = { socket: new PassThrough(), head } as unknown as SessionRequest;
  parking.resume(request, { taken: 0, attempt: 1 });
  expect(parking.handed(child)).toBe(true);
  return { parking, ends };
}

describe('a session that an executor brings back', () => {
  it('does not end when its time in the store is over', async () => {
    const { parking, ends } = waking(20);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(ends).toEqual([]);
    parking.unparked(true, 'null');
    expect(parking.isParked).toBe(false);
    expect(ends).toEqual([]);
  });

  it('is not stored any longer where the executor dies after that time', async () => {
    const { parking } = waking(20);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(parking.lost()).toBe(false);
    parking.over({ code: 'EXECUTOR_LOST', message: 'the executor died' });
  });
});

describe('a session that stays where it is', () => {
  it.each([
    ['waits twice as long each time where its contents were read in vain', true, [2, 4, 8]],
    ['is looked at as often as before where nothing was read', false, [1, 1, 1]],
  ])('%s', async (_what, wasRead, factors) => {
    const idleMs = 20;
    const times: number[] = [];
    const store = new ParkedStore(join(temporary.make(), 'parked'));
    const session = { log: { notParked: () => {} } } as unknown as ParkingSession;
    const parking = new SessionParking({ store, idleMs, keepMs: 1000 }, session);
    const park = () => {
      times.push(performance.now());
      parking.notParked({ reason: 'the store is full', isAtWork: false, wasRead });
    };
    parking.begun({ tell: park } as unknown as ExecutorChild);
    await until(() => times.length > factors.length);
    parking.over({ code: 'DISCONNECTED', message: 'over' });
    for (const [at, factor] of factors.entries())
      expect((times[at + 1] as number) - (times[at] as number)).toBeGreaterThan(factor * idleMs - 2);
  });
});

describe('the watch of an idle session', () => {
  it('waits longer than a timer can', async () => {
    const warnings: string[] = [];
    const note = ({ name }: Error) => void warnings.push(name);
    process.on('warning', note);
    let times = 0;
    const watch = new IdleWatch(10 * 3_600_000, () => {
      times += 1;
    });
    for (let failure = 0; failure < 6; failure += 1) watch.failed();
    watch.start();
    // A timer that is set for too long fires at once, with a warning.
    await new Promise((resolve) => setTimeout(resolve, 20));
    watch.stop();
    process.off('warning', note);
    expect(warnings).toEqual([]);
    expect(times).toBe(0);
  });
});

describe('the reasons for which sessions have ended', () => {
  it('do not displace the hosts of moved sessions, however many end', () => {
    const ends = new SessionEnds();
    const moved = { address: 'grpc://127.0.0.1:7079', sessionId: 'there' };
    ends.note('moved', { end: ENDED, tenant: 'one', moved });
    for (let at = 0; at < 5000; at += 1) ends.note(`session ${at}`, { end: ENDED, tenant: 'one' });
    expect(ends.movedTo('moved', 'one')).toEqual(moved);
    expect(ends.movedTo('moved', 'another')).toBeUndefined();
    expect(ends.of('session 4999', 'one')).toBe(ENDED);
    expect(ends.of('session 0', 'one')).not.toBe(ENDED);
  });
});

describe('the files of parked sessions', () => {
  it('take no more than they may, where one comes from another host while one is written', async () => {
    const store = new ParkedStore(join(temporary.make(), 'parked'), 1000);
    const place = store.begin();
    if (!place) throw new Error('a new store has no place');
    const received = store.receive(600);
    store.stored(place, 500);
    expect(await received).toBeUndefined();
    expect(await store.receive(500)).toBeDefined();
    expect(store.bytes).toBe(1000);
  });

  it('are removed where an earlier host of the same process number has left them, and not those of this one', () => {
    const root = join(temporary.make(), 'parked');
    const first = new ParkedStore(root);
    const [own] = readdirSync(root) as [string];
    mkdirSync(join(root, own.replace(/.{8}$/, '0badcafe')));
    const second = new ParkedStore(root);
    expect(readdirSync(root)).toHaveLength(2);
    expect(readdirSync(root)).toContain(own);
    for (const store of [first, second]) store.close();
  });
});

describe('the storing of a session', () => {
  const target = () => ({ path: join(temporary.make(), 'file'), key: new Uint8Array(32), mostBytes: 1000 });

  /** A session at rest, with a device and its notes. */
  function parts(opened: object, live: object = { isOver: false }, objects: object = {}): SessionParts {
    return {
      context: {
        parkable: { live },
        lines: { isEmpty: true },
        memory: { ledger: { hasReservation: false } },
        objects: {
          entries: [],
          all: (kind: string) => (kind === 'GPUDevice' ? [{ id: 1 }] : []),
          ...objects,
        },
        devices: { of: () => opened },
      },
      runner: { isSettled: true },
      held: { isEmpty: true },
      assembler: { isPartial: false },
    } as unknown as SessionParts;
  }

  it('ends when a frame comes, although the GPU still works', async () => {
    const device = { queue: { onSubmittedWorkDone: () => new Promise(() => {}) } };
    let looks = 0;
    const isAtWork = () => ++looks > 3;
    const refused = parkSession(parts({ device, isLost: false }), target(), isAtWork);
    await expect(refused).rejects.toBeInstanceOf(AtWork);
  });

  it('says that a device was released, where it cannot know whether a buffer of it is valid', async () => {
    const made = {
      command: { operation: { interface: 'GPUDevice', creates: 'GPUBuffer' } },
      operands: [1],
      isValid: undefined,
    };
    const objects = { entries: [{ id: 2, device: { id: 1 } }], all: () => [] };
    const refused = parkSession(
      parts({}, { isOver: false, entries: () => [made] }, objects),
      target(),
      () => false,
    );
    await expect(refused).rejects.toThrow('a device was released');
  });

  it('is refused, and ends no process, where the implementation fails', async () => {
    const opened = {
      device: { queue: { onSubmittedWorkDone: async () => {} } },
      scopes: { count: 1, look: () => Promise.reject(new Error('the device was lost')) },
      isLost: false,
    };
    const refused = parkSession(parts(opened), target(), () => false);
    await expect(refused).rejects.toBeInstanceOf(Unparkable);
    await expect(refused).rejects.toThrow('the device was lost');
  });
});
