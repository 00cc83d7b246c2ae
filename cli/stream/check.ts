import { counted } from '../../page/site/format.js';
import { FarlightError } from '../../proto/errors.js';
import { harmlessJson } from '../../proto/harmless.js';
import type { StreamGraph } from '../../stream/definition/stream-file.js';
import { printProblems } from '../infer/check.js';

export async function checkStream(file: string, { json }: { json?: boolean }): Promise<void> {
  const { graph, problems } = await readStreamFile(file);
  if (json) {
    const report = { ...(graph && { name: graph.name, steps: graph.order }), problems };
    process.stdout.write(`${harmlessJson(JSON.stringify(report, null, 2))}\n`);
  } else printProblems(problems);
  if (problems.length > 0)
    throw new FarlightError('BAD_OPTION', `${file} has ${counted(problems.length, 'problem')}`);
  if (!json) process.stdout.write(`${counted(graph?.order.length ?? 0, 'step')}: nothing is wrong\n`);
}

/** Reads an application for a command that needs it whole. @throws FarlightError BAD_OPTION after it has said what is wrong. */
export async function wholeStream(file: string): Promise<StreamGraph> {
  const { graph, problems } = await readStreamFile(file);
  if (graph) return graph;
  printProblems(problems);
  throw new FarlightError('BAD_OPTION', `${file} has ${counted(problems.length, 'problem')}`);
}

async function readStreamFile(file: string) {
  const { readStream } = await import('../../stream/definition/stream-file.js');
  return readStream(file);
}
