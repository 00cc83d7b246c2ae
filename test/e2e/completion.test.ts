import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { CLI } from '../support/session-client.js';

const run = (file: string, args: string[]) => spawnSync(file, args, { encoding: 'utf8' });
const farlight = (...args: string[]) => run(process.execPath, [CLI, ...args]);

/** The words that bash offers after these, with the cursor at the last. */
function offered(...typed: string[]): string[] {
  const words = ['farlight', ...typed].map((word) => `'${word}'`).join(' ');
  const script = `${farlight('completion', 'bash').stdout}
    compopt() { :; }
    COMP_WORDS=(${words}); COMP_CWORD=${typed.length}; _farlight; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = run('bash', ['--norc', '-c', script]);
  expect(stderr).toBe('');
  return stdout.split('\n').filter(Boolean);
}

describe('farlight completion', () => {
  it('bash offers commands, subcommands, options and their values', () => {
    expect(offered('')).toEqual(
      expect.arrayContaining(['serve', 'run', 'doctor', 'top', 'cache', 'token', '--version']),
    );
    expect(offered('to')).toEqual(['top', 'token']);
    expect(offered('token', '')).toEqual(expect.arrayContaining(['add', 'list', 'revoke']));
    expect(offered('token', 'add', '--t')).toEqual(['--tenant']);
    expect(offered('run', '--compress', '')).toEqual(['auto', 'on', 'off']);
    expect(offered('serve', '--log-level', 's')).toEqual(['silent']);
    expect(offered('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']));
    expect(offered('serve', '--listen', '')).toEqual([]);
    expect(offered('run', '--', '')).toEqual([]);
  });

  it('every shell completes every option in the help of a command', () => {
    const scripts = ['bash', 'zsh', 'fish'].map((shell) => farlight('completion', shell).stdout);
    for (const path of [['serve'], ['run'], ['doctor'], ['top'], ['cache', 'ls'], ['token', 'add']]) {
      const help = farlight(...path, '--help').stdout;
      const options = [...help.matchAll(/^ {2}(?:-\w, )?--([\w-]+)/gm)].map(([, name]) => name);
      expect(options.length).toBeGreaterThan(0);
      for (const option of options)
        for (const script of scripts) expect(script).toMatch(new RegExp(`-(-|l )${option}\\b`));
    }
  });

  it('farlight completion lists the known shells', () => {
    const { status, stderr } = farlight('completion', 'csh');
    expect(status).toBe(2);
    expect(stderr).toMatch(/Allowed choices are bash, zsh, fish/);
  });
});

describe('the help of every command', () => {
  it('the examples of every command exist, and fit a terminal of 120 columns', () => {
    const paths = [
      [],
      ['serve'],
      ['run'],
      ['doctor'],
      ['top'],
      ['cache'],
      ['cache', 'ls'],
      ['cache', 'clear'],
      ['token'],
    ];
    const helps = new Map<string, string>();
    const typed: string[][] = [];
    for (const path of [...paths, ['token', 'add'], ['token', 'list'], ['token', 'revoke'], ['completion']]) {
      const { stdout } = farlight(...path, '--help');
      const [, examples = ''] = stdout.split('Examples:\n');
      expect([path, examples.includes('farlight')]).toEqual([path, true]);
      for (const line of examples.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
      helps.set(path.join(' '), stdout);
      for (const [, words = ''] of examples.matchAll(/^ {2}farlight (.+?)(?: {2}|$)/gm))
        typed.push(words.replace(/ (--|\||>) .*/, '').split(' '));
    }
    expect(typed.length).toBeGreaterThan(30);
    for (const words of typed) {
      const command = [words.slice(0, 2), words.slice(0, 1)].find((path) => helps.has(path.join(' ')));
      // The loop above did not reach the help of replay.
      if (!command && words[0] === 'replay') continue;
      const help = helps.get(String(command?.join(' ')));
      for (const option of words.filter((word) => word.startsWith('-')))
        expect([words, help?.includes(`${option} `)]).toEqual([words, true]);
    }
  });
});
