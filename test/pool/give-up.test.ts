import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PoolView } from '#farlight/pool/attach/pool-view.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { readPool } from '#farlight/pool/file/pool-file.js';

/** Notes which jobs it is told to cancel. */
class NotingEngine extends LocalEngine {
  readonly cancelled: string[] = [];
  override async cancel(id: string): Promise<void> {
    this.cancelled.push(id);
  }
  override cancelNow(id: string): void {
    this.cancelled.push(id);
  }
}

describe('a program that gives up', () => {
  const before = process.env.XDG_STATE_HOME;
  let state: string;
  beforeEach(() => {
    state = mkdtempSync(join(tmpdir(), 'give-up-'));
    process.env.XDG_STATE_HOME = state;
  });
  afterEach(() => {
    if (before === undefined) delete process.env.XDG_STATE_HOME;
    else process.env.XDG_STATE_HOME = before;
    rmSync(state, { recursive: true, force: true });
  });

  it.each(['giveUp', 'giveUpNow'] as const)(
    'cancels its own job, and not the one of a later term (%s)',
    async (how) => {
      const engine = new NotingEngine(join(state, 'jobs'));
      const pool = { ...readPool('pool://local'), max: 2, engine };
      const one = new PoolView(pool);
      const other = new PoolView(pool);
      expect([one.claim(1, 1), one.claim(2, 1)]).toEqual([true, true]);
      one.journal.write(1, 1, 'job', { id: 'own' });
      one.journal.write(2, 1, 'job', { id: 'over' });
      // The host of the second one was killed, and another program has claimed the next term.
      expect(other.claim(2, 2)).toBe(true);
      other.journal.write(2, 2, 'job', { id: 'another' });
      await one[how]('it is tired');
      expect(engine.cancelled).toEqual(['own']);
    },
  );
});
