import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WaitingRoom } from '#farlight/server/trust/newcomers/waiting-room.js';

const names = (count: number, name: string) => Array.from({ length: count }, (_, at) => `${name} ${at}`);

describe('unknown connections', () => {
  it('limit a flood from one network to its share, and make nobody else give way', () => {
    const room = new WaitingRoom<string>({ most: 100, mostOfNetwork: 10 });
    const others = names(90, 'other');
    for (const [at, other] of others.entries()) expect(room.enter(other, `192.0.2.${at}`)).toBeUndefined();
    for (const [at, one] of names(1000, 'flood').entries()) {
      expect(room.enter(one, `2001:db8::${at.toString(16)}`)).toBe(at < 10 ? undefined : one);
    }
    expect(room.connections).toEqual(expect.arrayContaining(others));
    expect(room.connections).toHaveLength(100);
  });

  it('give way to a newcomer by the newest of the largest network', () => {
    const room = new WaitingRoom<string>({ most: 10, mostOfNetwork: 8 });
    for (const one of names(6, 'greedy')) room.enter(one, '198.51.100.1');
    for (const one of names(4, 'modest')) room.enter(one, '198.51.100.2');
    expect(room.enter('newcomer', '192.0.2.1')).toBe('greedy 5');
    expect(room.enter('another', '192.0.2.2')).toBe('greedy 4');
    // Both have four now, and the first network has been here longer.
    expect(room.enter('a third', '192.0.2.3')).toBe('greedy 3');
    expect(room.enter('a fourth', '192.0.2.4')).toBe('modest 3');
  });

  it('make room when they leave', () => {
    const room = new WaitingRoom<string>({ most: 2, mostOfNetwork: 1 });
    room.enter('first', '192.0.2.1');
    room.leave('first');
    expect(room.enter('second', '192.0.2.1')).toBeUndefined();
    expect(room.enter('third', '192.0.2.1')).toBe('third');
    expect(room.connections).toEqual(['second']);
  });

  it('the oldest unknown connection of this machine gives way, independent of other machines', () => {
    const room = new WaitingRoom<string>({ most: 3, mostOfNetwork: 1 });
    const near = ['127.0.0.1', '::1', '::ffff:127.0.0.1', undefined];
    for (const [at, one] of names(3, 'far').entries()) room.enter(one, `192.0.2.${at}`);
    const leavers = names(8, 'near').map((one, at) => room.enter(one, near[at % near.length]));
    expect(leavers).toEqual([undefined, undefined, undefined, ...names(5, 'near')]);
    expect(room.enter('far 3', '192.0.2.3')).toBe('far 0');
    expect(room.connections).toEqual(['near 5', 'near 6', 'near 7', 'far 1', 'far 2', 'far 3']);
  });

  it('never exceed their limits, and never give way to a larger network', () => {
    const act = fc.record({ network: fc.nat(5), leave: fc.boolean() });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
        const room = new WaitingRoom<number>({ most: 12, mostOfNetwork: 6 });
        const here = new Map<number, number>();
        const sizeOf = (network: number) => [...here.values()].filter((each) => each === network).length;
        for (const [guest, { network, leave }] of acts.entries()) {
          const [oldest] = here.keys();
          if (leave && oldest !== undefined) {
            room.leave(oldest);
            here.delete(oldest);
            continue;
          }
          here.set(guest, network);
          const leaver = room.enter(guest, `192.0.2.${network}`);
          if (leaver !== undefined) {
            const theirs = here.get(leaver) as number;
            expect(sizeOf(theirs)).toBeGreaterThanOrEqual(sizeOf(network));
            here.delete(leaver);
          }
          for (const each of here.values()) expect(sizeOf(each)).toBeLessThanOrEqual(6);
          expect(here.size).toBeLessThanOrEqual(12);
          expect(new Set(room.connections)).toEqual(new Set(here.keys()));
        }
      }),
    );
  });
});
