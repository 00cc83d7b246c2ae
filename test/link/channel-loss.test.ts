import fc from 'fast-check';
import { expect, it } from 'vitest';
import { NUMBER_BYTES, type Peer, SimulatedLink } from '../support/lines/simulated-link.js';

const BOUNDS = { windowBytes: 400, ackBytes: 90 };
/** A sender that is asked to wait sends no more while so much of what it sent was not taken. */
const WATERMARK = 700;
const LONGEST = 200;

type Step =
  | { do: 'send'; from: Side; length: number }
  | { do: 'deliver'; to: Side; count: number }
  | { do: 'hold'; at: Side; held: boolean }
  | { do: 'acknowledge'; at: Side }
  | { do: 'cut'; hostNotices: boolean }
  | { do: 'reconnect' };
type Side = 'client' | 'host';

const side = fc.constantFrom<Side>('client', 'host');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      from: side,
      length: fc.integer({ min: NUMBER_BYTES, max: LONGEST }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      to: side,
      count: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 600 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('hold' as const), at: side, held: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), at: side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), hostNotices: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant({ do: 'reconnect' as const }) },
);

function take(link: SimulatedLink, next: Step): void {
  if (next.do === 'send') {
    const peer = link[next.from];
    if (peer.channel.keptBytes < WATERMARK) peer.send(next.length);
  } else if (next.do === 'deliver') {
    link.deliver(next.to, next.count);
  } else if (next.do === 'hold') {
    link[next.at].channel.hold(next.held);
  } else if (next.do === 'acknowledge') {
    link[next.at].channel.acknowledge();
  } else if (next.do === 'cut') {
    link.cut(next.hostNotices);
  } else {
    link.reconnect();
  }
}

/** Lets everything arrive that is under way. */
function settle(link: SimulatedLink): void {
  link.reconnect();
  for (const peer of [link.client, link.host]) peer.channel.hold(false);
  for (let round = 0; round < 1000; round++) {
    while (!link.idle) {
      link.deliver('host', 64);
      link.deliver('client', 64);
    }
    for (const peer of [link.client, link.host]) peer.channel.acknowledge();
    if (link.idle) return;
  }
  throw new Error('the peers never stop talking');
}

/** What a peer was handed is the beginning of what the other has sent, in order. */
function expectInOrder(got: readonly number[], { sent }: Peer): void {
  expect(got.length).toBeLessThanOrEqual(sent);
  for (const [index, number] of got.entries()) expect(number).toBe(index);
}

function expectNoRegress(told: readonly number[]): void {
  for (let index = 1; index < told.length; index++) {
    expect(told[index]).toBeGreaterThanOrEqual(told[index - 1] as number);
  }
}

it('frames arrive once and in order in both directions, whatever is cut, held or lost, and nothing is kept beyond its bound', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      const link = new SimulatedLink(BOUNDS);
      const { client, host } = link;
      for (const next of steps) {
        take(link, next);
        // A peer that is given more than the window throws.
        for (const { keptMost } of [client, host]) expect(keptMost).toBeLessThan(WATERMARK + LONGEST);
      }
      expectInOrder(client.got, host);
      expectInOrder(host.got, client);
      settle(link);
      expectInOrder(client.got, host);
      expectInOrder(host.got, client);
      expect([client.got.length, host.got.length]).toEqual([host.sent, client.sent]);
      expect([client.channel.keptBytes, host.channel.keptBytes]).toEqual([0, 0]);
      expectNoRegress(client.told);
      expectNoRegress(host.told);
    }),
    { numRuns: 500 },
  );
});
