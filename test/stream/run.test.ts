import { describe, expect, it } from 'vitest';
import type { Clock } from '#farlight/link/machine/timer.js';
import type { LoggedRecord, SourceLog } from '#farlight/stream/log/record-log.js';
import { Inlet } from '#farlight/stream/run/inlet.js';
import { RegularCheckpoints } from '#farlight/stream/run/regular-checkpoints.js';
import { RunningSource } from '#farlight/stream/sources/running-source.js';
import type { Feed, Source } from '#farlight/stream/sources/source.js';
import { definitionOf } from './support/definitions.js';

const DEFINITION = definitionOf('v1', ['s'], { p: ['s.x'] });

/** A log in memory. */
function logOf(records: LoggedRecord[]): SourceLog {
  return {
    get end() {
      return records.length;
    },
    bytes: 0,
    append: async (record) => records.push({ ...record, offset: records.length }) - 1,
    cursor: (first) => {
      let at = first;
      return { next: async () => records[at++], close: async () => {} };
    },
    trim: async () => {},
    delete: async () => {},
    close: async () => {},
  };
}

function recordsAt(...positions: number[]): LoggedRecord[] {
  return positions.map((position, offset) => ({ key: 'k', values: {}, position, offset }));
}

/** Opens an inlet whose receiver takes records up to an offset. */
async function inletOf(records: LoggedRecord[], until: number, opened: (feed: Feed) => Promise<void>) {
  let next = 0;
  let closed = 0;
  const inlet = await Inlet.open(
    { name: 's', from: 0, positions: new Map([['k', 0]]), isNew: false },
    {
      openLog: async () => logOf(records),
      openSource: async (_name, _definition, feed) => {
        await opened(feed);
        return {
          close: async () => {
            closed += 1;
          },
        };
      },
    },
    {
      logged: () => {},
      admit: ({ offset }) => {
        if (offset >= until) return false;
        next = offset + 1;
        return true;
      },
      next: () => next,
      fail: (error) => {
        throw error;
      },
    },
  );
  return { inlet, closed: () => closed };
}

describe('a source on its way in', () => {
  it('goes on behind the last record of the log, and a checkpoint behind the last one that was admitted', async () => {
    let positions: ReadonlyMap<string, unknown> | undefined;
    const { inlet } = await inletOf(recordsAt(10, 20, 30), 2, async (feed) => {
      positions = feed.positions;
    });
    expect(inlet.positions.get('k')).toBe(0);
    inlet.wake();
    await expect.poll(() => inlet.backlog).toBe(1);
    expect(inlet.positions.get('k')).toBe(20);
    await inlet.start(DEFINITION);
    expect(positions?.get('k')).toBe(30);
    await inlet.stop();
  });

  it('that is stopped while it starts is closed, and takes no records', async () => {
    let go = () => {};
    let feed: Feed | undefined;
    const { inlet, closed } = await inletOf([], 0, (given) => {
      feed = given;
      return new Promise((resolve) => {
        go = resolve;
      });
    });
    const starting = inlet.start(DEFINITION);
    await expect.poll(() => feed !== undefined).toBe(true);
    await inlet.stop();
    go();
    await starting;
    expect(closed()).toBe(1);
    await expect(feed?.ingest({ key: 'k', values: {} })).rejects.toThrow('source s takes no records');
  });
});

describe('regular checkpoints', () => {
  /** A clock that a test moves, and checkpoints on it that take some time or fail. */
  function regular(store: (pass: (ms: number) => void) => Promise<void>) {
    let now = 0;
    const due: number[] = [];
    let act = () => {};
    const clock: Clock = {
      now: () => now,
      after: (ms, next) => {
        due.push(ms);
        act = next;
      },
    };
    const said: string[] = [];
    const pass = (ms: number) => {
      now += ms;
    };
    const options = {
      clock,
      everyMs: 1000,
      store: () => store(pass),
      log: (text: string) => said.push(text),
    };
    const checkpoints = new RegularCheckpoints(options);
    checkpoints.start();
    return { checkpoints, due, said, act: () => act() };
  }

  it('take at most a tenth of the time', async () => {
    const times = [5, 500];
    const { due, act } = regular(async (pass) => pass(times.shift() ?? 0));
    act();
    await expect.poll(() => due).toEqual([1000, 1000]);
    act();
    await expect.poll(() => due).toEqual([1000, 1000, 5000]);
  });

  it('go on after one that fails, and say why', async () => {
    const { due, said, act } = regular(() => Promise.reject(new Error('the disk is full')));
    act();
    await expect.poll(() => due).toEqual([1000, 1000]);
    expect(said).toEqual(['no checkpoint could be stored: the disk is full']);
  });

  it('that are stopped store none', async () => {
    let stored = 0;
    const { checkpoints, due, act } = regular(async () => {
      stored += 1;
    });
    checkpoints.stop();
    act();
    expect([stored, due]).toEqual([0, [1000]]);
  });
});

describe('a source that runs', () => {
  /** Says what happens to sources that are opened. `become` of each says whether it can go on as another definition. */
  function sources(become: boolean) {
    const said: string[] = [];
    let count = 0;
    const open = async (): Promise<Source> => {
      const name = `source ${++count}`;
      said.push(`${name} opened`);
      return {
        become: () => become,
        attempts: { problem: name, aside: 0 },
        close: async () => void said.push(`${name} closed`),
      };
    };
    return { said, open };
  }

  it.each([
    ['goes on as another definition says where it can', true, ['source 1 opened'], 'source 1'],
    [
      'is closed before another one takes its place where it cannot',
      false,
      ['source 1 opened', 'source 1 closed', 'source 2 opened'],
      'source 2',
    ],
  ])('%s', async (_what, become, expected, problem) => {
    const { said, open } = sources(become);
    const running = new RunningSource();
    await running.start(open);
    await running.become({ kind: 'http', types: {} }, open);
    expect(said).toEqual(expected);
    expect(running.health).toEqual({ problem });
  });

  it('that could not be started anew is started by the next change', async () => {
    const { said, open } = sources(false);
    const running = new RunningSource();
    await running.start(open);
    const change = (next: () => Promise<Source>) => running.become({ kind: 'http', types: {} }, next);
    await expect(change(() => Promise.reject(new Error('no such folder')))).rejects.toThrow('no such folder');
    expect(running.health).toEqual({});
    await change(open);
    expect(said).toEqual(['source 1 opened', 'source 1 closed', 'source 2 opened']);
    expect(running.health).toEqual({ problem: 'source 2' });
  });

  it('is closed where it has started only after the end, and starts no more', async () => {
    const { said, open } = sources(false);
    const running = new RunningSource();
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const starting = running.start(() => gate.then(open));
    await running.close();
    go();
    await starting;
    await running.start(open);
    expect(said).toEqual(['source 1 opened', 'source 1 closed']);
  });
});
