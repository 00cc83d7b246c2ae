import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isInferenceExample } from '../support/newcomer/inference-examples.js';
import { type Block, commandsOf, fencedBlocks } from '../support/newcomer/markdown-commands.js';
import { Newcomer } from '../support/newcomer/newcomer.js';
import { isRecipe } from '../support/newcomer/recipes.js';
import { REPOSITORY } from '../support/repository.js';

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
/** Blocks that are shown, not typed into a shell. Without a language it is the output of a command. */
const SHOWN = ['', 'js', 'ts', 'wgsl', 'py', 'nginx', 'ini', 'yaml'];

const isShell = ({ language }: Block) => language === 'sh';
const inShell = documents.filter((document) => document.blocks.some(isShell));
/** The commands of the examples of inference have a test of their own. */
const isRun = (block: Block) => isShell(block) && !isInferenceExample(block);
const typedIn = documents.filter((document) => document.blocks.some(isRun));

/** Commands whose exit code does not show that they worked, with the output that does. */
const PRINTS: readonly [RegExp, RegExp][] = [
  [/^npm start/, /^nose +x +\d+\.\d +y +\d+\.\d +score 0\.[5-9]/m],
  [/^npm test/, /Test Files +1 passed/],
  [/^journalctl .* jq /, /^\{[^{}]*"code": "EXECUTOR_LOST"[^{}]*\}\n$/],
  [/^grpcurl .* list$/, /^farlight\.v1\.Host$/m],
  [/^grpcurl .* describe /, /rpc Describe \( \.farlight\.v1\.DescribeRequest \)/],
  [/^grpcurl .*\/Describe$/, /"name": "SwiftShader/],
  [/^node out-node/, /\*\* Summary \*\*\nPassed +w\/o warnings = 1/],
  [/^node scripts\/cts\.mjs/, /"local": \{\s+"pass": 2,.*"farlight": \{\s+"pass": 2,/s],
  [/^npm run properties/, /Test Files +4 passed/],
  [/^podman exec .* token add/, /^flt_/],
  [/^podman exec .* doctor/, /^this machine +\S/m],
];

describe('the blocks of the documentation', () => {
  it('every block of the documentation is shell commands, or in a language that is not for a shell', () => {
    expect(blocks.filter(({ language }) => ![...SHOWN, 'sh'].includes(language))).toEqual([]);
    for (const { language, lines, where } of blocks) {
      if (language !== '') continue;
      for (const line of lines)
        expect(line, where).not.toMatch(/^(\$ )?(npm|npx|node|farlight(?! \w+ ready:)|git|cd|export|sudo) /);
    }
  });

  it('every block of the documentation is found: no other form of block is used', () => {
    for (const text of ['   ```sh\nls\n```', '> ```sh', '~~~sh', '````sh', '```sh title', '- ```sh'])
      expect(() => fencedBlocks('a file', text), text).toThrow('not a fence');
    const shell = blocks.filter(isShell);
    for (const block of shell) expect(commandsOf(block).length, block.where).toBeGreaterThan(0);
    expect(inShell.flatMap((document) => document.blocks.filter(isShell))).toEqual(shell);
    expect(shell.length).toBeGreaterThan(25);
  });
});

/** Each document begins with an installed clone and an empty home. */
let installed: Newcomer | undefined;
const arrive = async () => {
  installed ??= await Newcomer.arrive();
  return installed;
};
afterAll(() => installed?.leave(), MINUTES);

describe.each(typedIn)('the commands of $file, in a fresh clone', ({ file, blocks }) => {
  // The README begins with a clone that has only the files of git.
  const bare = file === 'README.md';
  let newcomer: Newcomer | undefined;

  beforeAll(async () => {
    newcomer = bare ? await Newcomer.arrive({ bare }) : await arrive();
  }, MINUTES);
  afterAll(() => (bare ? newcomer?.leave() : newcomer?.startOver()), MINUTES);

  for (const block of blocks.filter(isRun)) {
    for (const { command, says } of commandsOf(block)) {
      if (isRecipe(command)) continue;
      it(
        `${block.where}: ${command.replace(/\s+#.*/, '').replaceAll('\n', ' ')}`,
        async () => {
          if (!newcomer) throw new Error('nobody has arrived');
          const printed = await newcomer.type(command);
          if (says) expect(newcomer.masked(printed)).toContain(newcomer.masked(says));
          for (const [which, expected] of PRINTS) if (which.test(command)) expect(printed).toMatch(expected);
        },
        MINUTES,
      );
    }
  }
});

describe('a newcomer', () => {
  it(
    'a newcomer who starts over has the clone as it was installed, and an empty home',
    async () => {
      const newcomer = await arrive();
      const home = join(newcomer.clone, '..');
      const before = readdirSync(home);
      await newcomer.type(
        'mkdir -p out/deep && touch out/deep/file ../file ../app/file && cd docs && export LEFT=1',
      );
      await newcomer.startOver();
      expect(readdirSync(home)).toEqual(before);
      expect(readdirSync(newcomer.clone)).toContain('package.json');
      expect(await newcomer.type('ls; ls ../app; echo "in $PWD, LEFT=$LEFT"')).toMatch(
        /^app\.mjs$(?!.*^(out|file)$).*^in .*\/farlight, LEFT=$/ms,
      );
    },
    MINUTES,
  );

  it(
    'the reader of the commands stops where a command fails, or a placeholder is left',
    async () => {
      const newcomer = await arrive();
      await expect(newcomer.type('farlight run --host grpc://HOST:1 -- node app.mjs')).rejects.toThrow(
        'HOST',
      );
      await expect(newcomer.type('false')).rejects.toThrow("'false' ended with 1");
      await expect(newcomer.type('farlight serve --listen nowhere')).rejects.toThrow(/did not become ready/);
    },
    MINUTES,
  );
});
