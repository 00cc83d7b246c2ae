import { describe, expect, it } from 'vitest';
import { ErrorScopes } from '#farlight/server/executor/objects/error-scopes.js';

it('an error scope that stays open keeps at most 4096 objects waiting', () => {
  const scopes = new ErrorScopes();
  scopes.push('validation');
  for (let made = 0; made < 10_000; made += 1) scopes.whenClean(() => {});
  scopes.push('out-of-memory');
  scopes.whenClean(() => {});
  scopes.pop();
  expect(scopes.pop()?.whenClean.length).toBe(4096);
  let isDone = false;
  scopes.whenClean(() => {
    isDone = true;
  });
  expect(isDone).toBe(true);
});

it('an object has no error once the innermost scope of each type was popped without one', () => {
  const scopes = new ErrorScopes();
  const clean: string[] = [];
  const pop = () => scopes.pop()?.whenClean.forEach((act) => void act());
  for (const filter of ['validation', 'internal', 'validation'] as const) scopes.push(filter);
  scopes.whenClean(() => clean.push('in both'));
  pop();
  expect(clean).toEqual([]);
  pop();
  expect(clean).toEqual(['in both']);
});

describe('a look at the open scopes', () => {
  /** Scopes of an implementation, each of which has caught an error or not. */
  function device(...caught: (string | null)[]) {
    const open: string[] = [];
    const popped = caught.map((message) => (message === null ? null : ({ message } as GPUError)));
    return {
      open,
      pushErrorScope: (filter: GPUErrorFilter) => void open.push(filter),
      popErrorScope: async () => popped.shift() ?? null,
    };
  }

  function scopes(...filters: GPUErrorFilter[]): ErrorScopes {
    const opened = new ErrorScopes();
    for (const filter of filters) opened.push(filter);
    return opened;
  }

  it('says how many have caught nothing, from the innermost on', async () => {
    const opened = scopes('internal', 'out-of-memory', 'validation');
    expect(await opened.look(device(null, null, null), 3)).toBe(3);
    expect(await opened.look(device(null, 'wrong', null), 3)).toBe(1);
    expect(await opened.look(device(null), 9)).toBe(1);
  });

  it('leaves them open, in their order', async () => {
    const looked = device();
    await scopes('internal', 'out-of-memory', 'validation').look(looked, 2);
    expect(looked.open).toEqual(['out-of-memory', 'validation']);
  });

  it('keeps what they had caught, the first of it', async () => {
    const opened = scopes('validation');
    await opened.look(device('first'), 1);
    await opened.look(device('second'), 1);
    expect(opened.pop()?.earlier?.message).toBe('first');
  });

  it('sees the errors that no implementation has caught', async () => {
    const opened = scopes('validation', 'internal');
    opened.catch({ type: 'validation', message: 'ours' });
    expect(await opened.look(device(null, null), 2)).toBe(1);
  });

  it('a look at the scopes finds none open, and changes nothing', async () => {
    const looked = device();
    expect(await scopes('validation').look(looked, 0)).toBe(0);
    expect(await scopes().look(looked, 4)).toBe(0);
    expect(looked.open).toEqual([]);
  });
});
