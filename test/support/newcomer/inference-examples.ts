import { readFileSync } from 'node:fs';
import { REPOSITORY } from '../repository.js';
import { type Block, commandsOf, fencedBlocks } from './markdown-commands.js';

const FILE = 'docs/infer.md';

/** The commands of an example in docs/infer.md, by the name of its folder: what is run is what it says. */
export function exampleCommands(example: string): string[] {
  const blocks = fencedBlocks(FILE, readFileSync(`${REPOSITORY}${FILE}`, 'utf8')).filter(isInferenceExample);
  const own = blocks.filter(({ lines }) => lines.some((line) => line.includes(`examples/${example}/`)));
  if (own.length === 0) throw new Error(`${FILE} has no commands for examples/${example}`);
  return own.flatMap(commandsOf).map(({ command }) => command);
}

/** Whether a test of its own runs the commands of a block. */
export function isInferenceExample({ where, language, lines }: Block): boolean {
  return where.startsWith(FILE) && language === 'sh' && lines.some((line) => /examples\/\w+\//.test(line));
}
