import { relative } from 'node:path';
import { Command } from 'commander';
import type { Problem } from '../../link/files/checked-file.js';
import { counted } from '../../page/site/format.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless, harmlessJson } from '../../proto/harmless.js';

export function checkCommand(): Command {
  return new Command('check')
    .argument('<folder>')
    .description('List the problems of a folder of models and graphs, by file, line and column.')
    .option('--json', 'print the findings as JSON')
    .allowExcessArguments(false)
    .action(check);
}

async function check(folder: string, { json }: { json?: boolean }): Promise<void> {
  const { readModelFolder } = await import('../../infer/graph/model-folder.js');
  const { models, graphs, problems } = readModelFolder(folder);
  if (json) {
    const served = [...models.values()].map(({ name, versions }) => ({
      name,
      versions: [...versions.keys()],
    }));
    const report = { models: served, graphs: [...graphs.keys()], problems };
    process.stdout.write(`${harmlessJson(JSON.stringify(report, null, 2))}\n`);
  } else printProblems(problems);
  if (problems.length > 0) {
    throw new FarlightError('BAD_OPTION', `${folder} has ${counted(problems.length, 'problem')}`);
  }
  if (!json)
    process.stdout.write(
      `${counted(models.size, 'model')} and ${counted(graphs.size, 'graph')}: nothing is wrong\n`,
    );
}

/** A line for each, as compilers say it, so that editors find the place. */
export function printProblems(problems: readonly Problem[]): void {
  for (const problem of problems) process.stdout.write(`${harmless(line(problem))}\n`);
}

function line({ file, line, column, message }: Problem): string {
  const place = line === undefined ? '' : `:${line}:${column}`;
  return `${relative('', file) || '.'}${place}: ${message}`;
}
