import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { replaceWhole, writeWhole } from '#farlight/link/files/whole-file.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());

describe('a file that is written whole', () => {
  it('is written by the first who writes it, with its mode, and stays as it is', () => {
    const folder = temporary.make();
    expect(writeWhole(folder, 'a', 'first', 0o444)).toBe(true);
    expect(writeWhole(folder, 'a', 'second', 0o444)).toBe(false);
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('first');
    expect(statSync(join(folder, 'a')).mode & 0o777).toBe(0o444);
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('takes the place of another one where it replaces that', () => {
    const folder = temporary.make();
    replaceWhole(folder, 'a', 'first', 0o600);
    replaceWhole(folder, 'a', 'second', 0o600);
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('second');
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('leaves nothing where a folder has its name', () => {
    const folder = temporary.make();
    mkdirSync(join(folder, 'a'));
    expect(() => replaceWhole(folder, 'a', 'text', 0o600)).toThrow(/EISDIR|ENOTEMPTY|EEXIST|EPERM/);
    expect(readdirSync(folder)).toEqual(['a']);
  });
});
