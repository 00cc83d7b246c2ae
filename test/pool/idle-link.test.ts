import { afterEach, describe, expect, it } from 'vitest';
import type { Brought, LinkEvents, Welcome } from '#farlight/client/transport/transport.js';
import { type AttachedHost, IdleLink } from '#farlight/pool/attach/idle-link.js';
import { FarlightError } from '#farlight/proto/errors.js';
import type { MoveOffer } from '#farlight/proto/session/moves.js';

const WELCOME = { protocol: 3, sessionId: 'first', resumeMs: 1000, sharedFile: true } as Welcome;
const FRAME = Uint8Array.of(1);

const links: IdleLink[] = [];
afterEach(() => {
  for (const link of links.splice(0)) link.close();
});

/** A link of a session that is idle at once, and what happens to it. */
function session(counts = { taken: 1, acknowledged: 1 }) {
  const events: string[] = [];
  const brought: Brought[] = [];
  const inner: LinkEvents[] = [];
  let settle: { resolve(): void; reject(reason: Error): void } = { resolve: () => {}, reject: () => {} };
  let refusals = 0;
  let sought = 0;
  const host = (name: string): AttachedHost => ({
    url: name,
    open: (listener, given) => {
      inner.push(listener);
      if (given) brought.push(given);
      return {
        send: (frame) => events.push(`${name} gets ${frame[0]}`) > 0,
        close: () => listener.onClose(undefined),
        ref: () => {},
        unref: () => {},
      };
    },
    release: () => void events.push(`${name} released`),
  });
  const link = new IdleLink(
    {
      parkMs: 20,
      first: host('one'),
      seek: async () => {
        sought += 1;
        return host(['two', 'three', 'four'][sought - 1] as string);
      },
      take: (_, id, wants) =>
        new Promise((resolve, reject) => {
          events.push(`take ${id}`);
          const offer = { channel: { ...counts, attempt: 4 } } as MoveOffer;
          const kept = {
            offer,
            bring: async () => {
              refusals -= 1;
              if (refusals >= 0) throw new Error('there is no room');
              return 'second';
            },
            forget: () => void events.push('forgotten'),
          };
          settle = {
            resolve: () => (wants(offer) ? resolve(kept) : reject(new Error('it has gone on'))),
            reject,
          };
        }),
    },
    {
      onWelcome: () => {},
      onFrame: () => {},
      onDrain: () => {},
      onClose: (reason) => void events.push(`closed: ${reason?.message}`),
    },
  );
  links.push(link);
  inner[0]?.onWelcome(WELCOME);
  link.send(FRAME);
  inner[0]?.onFrame(FRAME);
  const seen = (event: string) => expect.poll(() => events).toContain(event);
  return {
    link,
    events,
    brought,
    seen,
    taken: () => settle.resolve(),
    refused: () => settle.reject(new Error('it is at work')),
    refuse: (times: number) => {
      refusals = times;
    },
  };
}

describe('the link of a session whose program does nothing', () => {
  it('gives the host back, and goes on at another one with what each side has', async () => {
    const { link, events, brought, seen, taken } = session();
    await seen('take first');
    taken();
    await seen('one released');
    expect(link.state).toBe('asleep');
    link.send(Uint8Array.of(2));
    link.send(Uint8Array.of(3));
    await seen('two gets 3');
    // Later it is idle again.
    expect(events.slice(0, 6)).toEqual([
      'one gets 1',
      'take first',
      'one released',
      'forgotten',
      'two gets 2',
      'two gets 3',
    ]);
    expect(brought).toEqual([
      {
        welcome: { ...WELCOME, sessionId: 'second', sharedFile: false },
        taken: 1,
        acknowledged: 1,
        attempt: 4,
      },
    ]);
  });

  it('keeps the order of frames that come while the session is taken, whatever becomes of that', async () => {
    for (const isTaken of [true, false]) {
      const { link, events, seen, taken, refused } = session();
      await seen('take first');
      link.send(Uint8Array.of(2));
      link.send(Uint8Array.of(3));
      expect(events).toEqual(['one gets 1', 'take first']);
      if (isTaken) taken();
      else refused();
      const host = isTaken ? 'two' : 'one';
      await seen(`${host} gets 3`);
      expect(events.filter((event) => event.endsWith('gets 2'))).toEqual([`${host} gets 2`]);
      expect(events.indexOf(`${host} gets 2`)).toBeLessThan(events.indexOf(`${host} gets 3`));
    }
  });

  it.each([
    { taken: 0, acknowledged: 1 },
    { taken: 1, acknowledged: 0 },
  ])('leaves the session where a frame is on its way (%o)', async (counts) => {
    const { link, events, seen, taken } = session(counts);
    await seen('take first');
    taken();
    await new Promise((resolve) => setImmediate(resolve));
    expect(link.state).toBe('awake');
    link.send(Uint8Array.of(2));
    expect(events).toEqual(['one gets 1', 'take first', 'one gets 2']);
  });

  it('asks another host where one does not take the session', async () => {
    const { link, events, seen, taken, refuse } = session();
    await seen('take first');
    taken();
    await seen('one released');
    refuse(1);
    link.send(Uint8Array.of(2));
    await seen('three gets 2');
    expect(events.slice(3, 6)).toEqual(['two released', 'forgotten', 'three gets 2']);
  });

  it('is one loss with a reason where three hosts do not take the session', async () => {
    const { link, events, seen, taken, refuse } = session();
    await seen('take first');
    taken();
    await seen('one released');
    refuse(3);
    link.send(Uint8Array.of(2));
    const sentence = new FarlightError(
      'DISCONNECTED',
      'the session that was kept here cannot go on: there is no room',
    );
    await seen(`closed: ${sentence.message}`);
    const released = ['two released', 'three released', 'four released'];
    expect(events.slice(3)).toEqual([...released, 'forgotten', `closed: ${sentence.message}`]);
  });

  it('removes the session where its program ends it', async () => {
    const { link, events, seen, taken } = session();
    await seen('take first');
    taken();
    await seen('one released');
    link.close();
    expect(events.slice(3)).toEqual(['forgotten', 'closed: undefined']);
  });
});
