import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Flow } from '#farlight/client/transport/flow.js';

const MIB = 1 << 20;

it('asks a sender to wait at 16 MiB under way, and to go on below 8', () => {
  const sender = new Flow();
  const carrier = new Flow(sender.shared);
  for (let i = 0; i < 15; i++) expect(sender.sent(MIB)).toBe(true);
  expect(sender.sent(MIB)).toBe(false);
  for (let i = 0; i < 8; i++) expect(carrier.taken(MIB)).toBe(false);
  expect(carrier.taken(1)).toBe(true);
  expect(carrier.taken(MIB)).toBe(false);
});

it('tells a sender that was asked to wait to go on, however what it sends and what is taken alternate', () => {
  // A number above 0 is sent, one below 0 taken, of what is under way.
  const steps = fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (each) => {
      const flow = new Flow();
      let underWay = 0;
      let waits = false;
      const take = (bytes: number) => {
        underWay -= bytes;
        if (flow.taken(bytes)) {
          expect(waits, 'nobody is told to go on who does not wait').toBe(true);
          waits = false;
        }
      };
      for (const step of each) {
        if (step > 0) {
          underWay += step * MIB;
          waits = !flow.sent(step * MIB) || waits;
        } else if (step < 0) {
          take(Math.min(underWay, -step * MIB));
        }
      }
      take(underWay);
      expect(waits).toBe(false);
    }),
  );
});
