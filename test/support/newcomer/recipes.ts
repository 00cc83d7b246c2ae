import { readFileSync } from 'node:fs';
import { REPOSITORY } from '../repository.js';

/** A block of one line. */
const COMMAND = /^```sh\nfarlight run -- node (.+)\n```$/m;

/** docs/recipes.md, a library a section: what is run here is what it says. */
export const recipes: ReadonlyMap<string, string> = new Map(
  readFileSync(`${REPOSITORY}docs/recipes.md`, 'utf8')
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
);

/** Whether a recipe shows this command: the tests of libraries and engines run it, against a host and against Dawn. */
export function isRecipe(command: string): boolean {
  return [...recipes.values()].some((section) => COMMAND.exec(section)?.[0].includes(`\n${command}\n`));
}

/** The arguments of node in a recipe's `farlight run`. */
export function recipeCommand(library: string): string[] {
  const [, args] = COMMAND.exec(recipes.get(library) ?? '') ?? [];
  if (!args) throw new Error(`docs/recipes.md has no command for ${library}`);
  return args.split(' ');
}
