import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { NearLink, type TurnedLink } from '#farlight/client/transport/near-link.js';
import type { LinkEvents } from '#farlight/client/transport/transport.js';

const MIB = 1 << 20;

/**
 * A link whose turns the test controls: each does the next action of a list, or reports that nothing came.
 */
class Turned implements TurnedLink {
  underWay = 0;
  closed = 0;
  turned = 0;
  /** Whether only the event loop can make progress. */
  stuck = false;
  readonly turns: (() => void)[] = [];

  get hasRoom(): boolean {
    return this.underWay <= 12 * MIB;
  }

  send(frame: Uint8Array): boolean {
    this.underWay += frame.length;
    return this.underWay < 16 * MIB;
  }

  close(): void {
    this.closed += 1;
  }

  turn(): boolean | undefined {
    if (this.stuck) return undefined;
    this.turned += 1;
    const next = this.turns.shift();
    next?.();
    return next !== undefined;
  }
}

function nearLink() {
  const log: string[] = [];
  const under = new Turned();
  const { turns } = under;
  let inner: LinkEvents | undefined;
  const open = (events: LinkEvents) => {
    inner = events;
    return under;
  };
  const link = new NearLink(open, {
    onWelcome: () => log.push('welcome'),
    onFrame: ([first]) => {
      log.push(`frame ${first}`);
      return true;
    },
    onDrain: () => log.push('drain'),
    onClose: (reason) => log.push(`closed ${reason?.code}`),
  });
  return { link, under, turns, log, events: inner as unknown as LinkEvents };
}

it('blocks a sender until there is room, and no longer', () => {
  const { link, under, turns } = nearLink();
  link.send(new Uint8Array(16 * MIB));
  const take = () => {
    under.underWay -= MIB;
  };
  turns.push(...Array.from({ length: 12 }, () => take));
  link.awaitRoom();
  expect([under.underWay, turns.length, under.turned]).toEqual([12 * MIB, 8, 4]);
  link.close();
});

it('looks again if nothing has come', () => {
  const { link, under } = nearLink();
  under.underWay = 13 * MIB;
  const { turn } = under;
  under.turn = function () {
    if (this.turned === 10) this.underWay = 0;
    return turn.call(this);
  };
  link.awaitRoom();
  expect(under.turned).toBe(11);
  link.close();
});

it('does not wait if only the event loop can go on, or the link is closed', () => {
  const { link, under, events } = nearLink();
  under.underWay = 20 * MIB;
  under.stuck = true;
  link.awaitRoom();
  under.stuck = false;
  events.onClose(undefined);
  link.awaitRoom();
  expect(under.turned).toBe(0);
});

it('events that came during a wait are reported after the call, in order', async () => {
  const { link, under, turns, log, events } = nearLink();
  under.underWay = 20 * MIB;
  turns.push(
    () => events.onFrame(Uint8Array.of(1)),
    () => {
      events.onFrame(Uint8Array.of(2));
      events.onDrain();
      under.underWay = 0;
    },
  );
  link.awaitRoom();
  expect(log).toEqual([]);
  // Through the event loop, before the loop has reached the postponed events.
  events.onFrame(Uint8Array.of(3));
  expect(log).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(log).toEqual(['frame 1', 'frame 2', 'drain', 'frame 3']);
  events.onFrame(Uint8Array.of(4));
  expect(log.at(-1)).toBe('frame 4');
  link.close();
});

it('tells whether a frame is no longer needed if that is known at once', () => {
  const { events } = nearLink();
  expect(events.onFrame(Uint8Array.of(1))).toBe(true);
  events.onClose(undefined);
});

it('sent frames leave before the process ends, without the event loop', () => {
  const { link, under, turns, events } = nearLink();
  turns.push(
    () => {},
    () => {
      under.stuck = true;
    },
  );
  expect([link.leave(), link.leave(), link.leave()]).toEqual([false, false, true]);
  expect(under.turned).toBe(2);
  under.stuck = false;
  expect(link.leave()).toBe(false);
  events.onClose(undefined);
  expect(link.leave()).toBe(true);
});

it('a link that cannot be opened leaves nothing behind: its process ends normally', () => {
  const file = new URL('../../dist/client/transport/near-link.js', import.meta.url);
  const program = `
    import { NearLink } from ${JSON.stringify(file.href)};
    const open = () => { throw new Error('too many files'); };
    try { new NearLink(open, {}); } catch ({ message }) { process.stdout.write(message); }
  `;
  const args = ['--input-type=module', '--eval', program];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect([status, stdout, stderr]).toEqual([0, 'too many files', '']);
});

it('reports later events also if the receiver of an earlier one throws', async () => {
  const under = new Turned();
  under.underWay = 20 * MIB;
  const log: string[] = [];
  let inner: LinkEvents | undefined;
  const link = new NearLink(
    (events) => {
      inner = events;
      return under;
    },
    {
      onWelcome: () => {},
      onFrame: ([first]) => {
        if (first === 1) throw new Error('a bug of the receiver');
        log.push(`frame ${first}`);
      },
      onDrain: () => log.push('drain'),
      onClose: () => log.push('closed'),
    },
  );
  const thrown: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => thrown.push(error));
  try {
    under.turns.push(() => {
      for (const number of [1, 2]) inner?.onFrame(Uint8Array.of(number));
      inner?.onDrain();
      under.underWay = 0;
    });
    link.awaitRoom();
    await new Promise((resolve) => setTimeout(resolve, 10));
    inner?.onClose(undefined);
    expect(log).toEqual(['frame 2', 'drain', 'closed']);
    expect(thrown).toMatchObject([{ message: 'a bug of the receiver' }]);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
  }
});
