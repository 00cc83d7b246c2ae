import { describe, expect, it } from 'vitest';
import { MemoryWatch } from '#farlight/client/session/memory-watch.js';
import type { MemoryState } from '#farlight/proto/session/memory.js';

const STATE: MemoryState = {
  limit: 100,
  available: 90,
  reclaimable: 0,
  used: 10,
  peak: 10,
  reserved: 0,
  queue: 0,
};

function make() {
  const asked: boolean[] = [];
  const watch = new MemoryWatch((on) => asked.push(on));
  const reader = () => {
    const heard: (MemoryState | Error)[] = [];
    return { heard, told: (state: MemoryState) => heard.push(state), ended: (why: Error) => heard.push(why) };
  };
  return { watch, asked, reader };
}

describe('the readers of the memory of a session', () => {
  it('readers make the host report while there is one, and a later one gets the newest state at once', () => {
    const { watch, asked, reader } = make();
    const [first, second] = [reader(), reader()];
    watch.add(first);
    watch.told(STATE);
    watch.add(second);
    expect([first.heard, second.heard]).toEqual([[STATE], [STATE]]);
    watch.delete(first);
    expect(asked).toEqual([true]);
    watch.delete(second);
    expect(asked).toEqual([true, false]);
  });

  it('all readers get the reason why the session ended, also one that comes later', () => {
    const { watch, asked, reader } = make();
    const [first, late] = [reader(), reader()];
    watch.add(first);
    const reason = new Error('closed');
    watch.end(reason);
    watch.add(late);
    expect([first.heard, late.heard]).toEqual([[reason], [reason]]);
    expect(asked).toEqual([true]);
  });
});
