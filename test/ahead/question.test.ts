import { describe, expect, it } from 'vitest';
import { Question } from '#farlight/client/ahead/question.js';

const NOTHING = { ranges: [], scopes: 0, done: false };
const ANSWER = { clean: 0, data: new Uint8Array(0) };

describe('a question', () => {
  it('settles a wait for the end of the work only if it asked for that end', () => {
    expect(new Question(NOTHING).early({ kind: 'done' })).toBeUndefined();
    const early = new Question({ ...NOTHING, done: true }).early({ kind: 'done' });
    expect(early?.reply(ANSWER)).toEqual({ reply: undefined });
  });

  it('settles as many outer scopes as were clean, from the innermost on', () => {
    const question = new Question({ ...NOTHING, scopes: 2 });
    const [inner, outer, third] = Array.from({ length: 3 }, () => question.early({ kind: 'outer' }));
    const answer = { ...ANSWER, clean: 1 };
    expect(inner?.reply(answer)).toEqual({ reply: null });
    expect(outer?.reply(answer)).toBeUndefined();
    expect(third).toBeUndefined();
  });

  it('settles a scope that was opened after it, whatever it asked for', () => {
    expect(new Question(NOTHING).early({ kind: 'inner' })?.reply(ANSWER)).toEqual({ reply: null });
  });
});
