import { expect, it } from 'vitest';
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
