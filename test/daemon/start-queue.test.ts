import { describe, expect, it } from 'vitest';
import { StartQueue } from '#farlight/server/daemon/executors/start-queue.js';
import { turn } from '../support/clients/scripted-transport.js';
import { until } from '../support/machine/processes.js';

/** A queue, and the processes that it has started. */
function turns(longestMs?: number) {
  const begun: string[] = [];
  const all = new StartQueue(longestMs === undefined ? { most: 2 } : { most: 2, longestMs });
  return { begun, want: (name: string) => all.add(() => begun.push(name)) };
}

describe('processes that wait to start', () => {
  it('start a few at a time, in order', async () => {
    const { begun, want } = turns();
    const [a, b] = [want('a'), want('b'), want('c'), want('d'), want('e')];
    expect(begun).toEqual(['a', 'b']);
    b();
    b();
    expect(begun).toEqual(['a', 'b']);
    await turn();
    expect(begun).toEqual(['a', 'b', 'c']);
    a();
    await turn();
    await turn();
    expect(begun).toEqual(['a', 'b', 'c', 'd']);
  });

  it('skip a process that is not needed any more', async () => {
    const { begun, want } = turns();
    const a = want('a');
    want('b');
    want('c')();
    want('d');
    a();
    await turn();
    await turn();
    expect(begun).toEqual(['a', 'b', 'd']);
  });

  it('do not wait for ever for a process that never reports its start', async () => {
    const { begun, want } = turns(10);
    for (const name of ['a', 'b', 'c', 'd', 'e']) want(name);
    await until(() => begun.length === 5);
    expect(begun).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});
