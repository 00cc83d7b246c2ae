import { describe, expect, it } from 'vitest';
import { Guesses } from '#farlight/client/ahead/guesses.js';
import { Mentions } from '#farlight/client/ahead/mentions.js';
import type { Follower } from '#farlight/client/ahead/proof.js';

const read = (source: number, size = 64): Follower => ({ kind: 'read', source, offset: 0, size });

/** A program whose steps name some buffers and then wait, and what follows is learned. */
class Learning {
  readonly mentions = new Mentions();
  readonly guesses = new Guesses(this.mentions);

  step(named: number[], followers: Follower[], { key = 'wait', isLate = false } = {}) {
    this.mentions.add(named);
    const until = this.mentions.count;
    const guess = this.guesses.guess(key, until);
    // What follows names things too.
    this.mentions.add([1000, 1001]);
    this.guesses.learn(key, until, guess, followers, isLate);
    return guess;
  }
}

describe('a guess', () => {
  it('is trusted after it was right once', () => {
    const program = new Learning();
    expect(program.step([7, 8], [read(7)]).followers).toEqual([]);
    expect(program.step([7, 8], [read(7)])).toEqual({ followers: [read(7)], isTrusted: false });
    expect(program.step([7, 8], [read(7)])).toEqual({ followers: [read(7)], isTrusted: true });
  });

  it('names the buffer in the same place when a pool gives other buffers', () => {
    const program = new Learning();
    program.step([10, 11, 5], [read(10), read(11)]);
    program.step([20, 21, 5], [read(20), read(21)]);
    expect(program.step([30, 31, 5], []).followers).toEqual([read(30), read(31)]);
  });

  it('names the same buffer when another one is named in its place', () => {
    const program = new Learning();
    program.step([7, 8], [read(7)]);
    program.step([8, 7], [read(7)]);
    program.step([7, 8], [read(7)]);
    expect(program.step([8, 7], [read(7)]).followers).toEqual([read(7)]);
  });

  it('has all waits that followed, in order', () => {
    const program = new Learning();
    const followers: Follower[] = [read(7), { kind: 'done' }, read(8, 16), { kind: 'outer' }];
    program.step([7, 8], followers);
    expect(program.step([7, 8], followers).followers).toEqual(followers);
  });

  it('is trusted again only after ten right guesses, once it was wrong', () => {
    const program = new Learning();
    for (let step = 0; step < 3; step += 1) program.step([7, 8], [read(7)]);
    program.step([7, 8], [read(8)]);
    for (let step = 0; step < 10; step += 1)
      expect(program.step([7, 8], [read(8)])).toEqual({ followers: [read(8)], isTrusted: false });
    expect(program.step([7, 8], [read(8)]).isTrusted).toBe(true);
  });

  it('is not trusted if it was right but came too late', () => {
    const program = new Learning();
    for (let step = 0; step < 3; step += 1) program.step([7], [read(7)]);
    program.step([7], [read(7)], { isLate: true });
    expect(program.step([7], [read(7)]).isTrusted).toBe(false);
  });

  it('is right even if more waits follow', () => {
    const program = new Learning();
    for (let step = 0; step < 3; step += 1) program.step([7, 8], [read(7)]);
    program.step([7, 8], [read(7), read(8)]);
    expect(program.step([7, 8], [])).toEqual({ followers: [read(7), read(8)], isTrusted: true });
  });

  it('holds for its own place only', () => {
    const program = new Learning();
    for (let step = 0; step < 3; step += 1) program.step([7], [read(7)], { key: 'one' });
    expect(program.step([7], [], { key: 'another' })).toEqual({ followers: [], isTrusted: false });
  });

  it('is forgotten if its place is rare among many, and kept if its place is frequent', () => {
    const program = new Learning();
    program.step([7], [read(7)], { key: 'rare' });
    for (let place = 0; place < 300; place += 1) {
      program.step([7], [read(7)], { key: 'often' });
      program.step([7], [read(7)], { key: `place ${place}` });
    }
    expect(program.step([7], [], { key: 'rare' }).followers).toEqual([]);
    expect(program.step([7], [], { key: 'often' }).followers).toEqual([read(7)]);
  });
});

describe('mentions', () => {
  it('are found at their last place before a point', () => {
    const mentions = new Mentions();
    mentions.add([1, 2, 1, 3]);
    const { count } = mentions;
    mentions.add([1, 2]);
    expect(mentions.find(count, 1)).toBe(2);
    expect(mentions.at(count, 2)).toBe(1);
    expect(mentions.at(count, 4)).toBe(1);
    expect(mentions.find(count, 9)).toBeUndefined();
    expect(mentions.at(count, 5)).toBeUndefined();
  });

  it('are forgotten after too many others', () => {
    const mentions = new Mentions();
    mentions.add([1]);
    const { count } = mentions;
    expect(mentions.find(count, 1)).toBe(1);
    mentions.add(Array.from({ length: 1 << 14 }, () => 2));
    expect(mentions.find(count, 1)).toBeUndefined();
    expect(mentions.at(count, 1)).toBeUndefined();
  });
});
