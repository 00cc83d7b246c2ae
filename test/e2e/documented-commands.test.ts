import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Block, commandsOf, fencedBlocks } from '../support/markdown-commands.js';
import { Newcomer } from '../support/newcomer.js';
import { REPOSITORY } from '../support/session-client.js';

const MINUTES = 10 * 60_000;

const files = execFileSync('git', ['ls-files', 'README.md', 'docs/*.md', 'docs/**/*.md'], {
  cwd: REPOSITORY,
  encoding: 'utf8',
})
  .trim()
  .split('\n');
const documents = [...new Set(files)].map((file) => ({
  file,
  blocks: fencedBlocks(file, readFileSync(join(REPOSITORY, file), 'utf8')),
}));
const blocks = documents.flatMap((document) => document.blocks);
/** What is shown, not to be typed into a shell; without a language it is what a command prints. */
const SHOWN = ['', 'js', 'ts', 'wgsl', 'py', 'nginx', 'yaml'];

describe('the blocks of the documentation', () => {
  it('are shell commands, or of a language that no shell takes', () => {
    expect(blocks.filter(({ language }) => ![...SHOWN, 'sh'].includes(language))).toEqual([]);
    for (const { language, lines, where } of blocks) {
      if (language !== '') continue;
      for (const line of lines)
        expect(line, where).not.toMatch(/^(\$ )?(npm|npx|node|farlight|git|cd|export|sudo) /);
    }
  });

  it('are marked as not to be run in nine places, each with a reason that a reader understands', () => {
    const marked = blocks.filter(({ notRun }) => notRun !== undefined);
    for (const { notRun, where } of marked) expect(notRun, where).toMatch(/^\w+( \S+){3,}$/);
    expect(marked.map(({ where, notRun }) => `${where.split(':')[0]}: ${notRun}`)).toEqual([
      'README.md: it runs every test, and so this one again',
      'docs/conformance.md: it fetches and builds the suite, which is not in this repository',
      'docs/conformance.md: it needs the suite',
      'docs/conformance.md: it needs the suite',
      'docs/conformance.md: it takes minutes, and the suite tries the same properties fewer times',
      'docs/operations.md: it needs another machine, with a host on it',
      'docs/operations.md: it needs grpcurl, which is not on every machine',
      'docs/operations.md: it reads the journal of a host that systemd runs',
      'docs/operations.md: it needs a container engine',
    ]);
  });

  it('have a mark only where a block follows it', () => {
    const texts = files.map((file) => readFileSync(join(REPOSITORY, file), 'utf8')).join('\n');
    const marks = texts.match(/<!-- not run/g) ?? [];
    expect(marks).toHaveLength(blocks.filter(({ notRun }) => notRun !== undefined).length);
  });
});

const isRun = ({ language, notRun }: Block) => language === 'sh' && notRun === undefined;

describe.each(documents.filter((document) => document.blocks.some(isRun)))(
  'the commands of $file, in a fresh clone',
  ({ blocks }) => {
    let newcomer: Newcomer | undefined;

    beforeAll(async () => {
      newcomer = await Newcomer.arrive();
    }, MINUTES);
    afterAll(() => newcomer?.leave(), MINUTES);

    for (const block of blocks.filter(isRun)) {
      for (const { command, says } of commandsOf(block)) {
        it(
          `${block.where}: ${command.replace(/\s+#.*/, '').replaceAll('\n', ' ')}`,
          async () => {
            if (!newcomer) throw new Error('nobody has arrived');
            const printed = await newcomer.type(command);
            if (says) expect(newcomer.masked(printed)).toContain(newcomer.masked(says));
          },
          MINUTES,
        );
      }
    }
  },
);

describe('a newcomer', () => {
  it(
    'does not go on where a command fails, or a placeholder is left',
    async () => {
      const newcomer = await Newcomer.arrive();
      try {
        await expect(newcomer.type('farlight run --host grpc://HOST:1 -- node app.mjs')).rejects.toThrow(
          'HOST',
        );
        await expect(newcomer.type('false')).rejects.toThrow("'false' ended with 1");
        await expect(newcomer.type('farlight serve --listen nowhere')).rejects.toThrow(
          /did not become ready/,
        );
        expect(readdirSync(newcomer.clone)).toContain('package.json');
      } finally {
        await newcomer.leave();
      }
    },
    MINUTES,
  );
});
