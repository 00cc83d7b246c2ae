import type { walkModel } from '../../shard/index.js';
import { textOf } from '../../shard/layout/descriptor.js';
import { columns } from '../style.js';

/**
 * What each candidate of a node costs where the nodes before it chose by the walk: the sum, over its inputs, of what it
 * costs to lay each as the candidate wants it. Throws an Error where the model has no such node.
 */
export function explainNode(
  { graph, explained, candidates }: Awaited<ReturnType<typeof walkModel>>,
  name: string,
): string {
  const index = graph.nodes.findIndex((node) => node.name === name);
  const node = graph.nodes[index];
  if (!node) {
    const some = graph.nodes.slice(0, 5).map((one) => one.name);
    throw new Error(
      `the model has no node "${name}" that computes in each run: it has ${some.join(', ')}, …`,
    );
  }
  const side = (which: 'inputs' | 'outputs', candidate: (typeof candidates)[number]) =>
    node[which]
      .map((_, at) => textOf({ placements: candidate.signatures.map((one) => one[which][at] ?? 'B') }))
      .join();
  const rows = (explained[index] ?? []).map(({ candidate, inputs, cost, fits }) => [
    `${side('inputs', candidate)}>${side('outputs', candidate)}`,
    candidate.mesh.hosts.join(),
    inputs.map((one) => one.toFixed(0)).join(' + '),
    cost.toFixed(0),
    fits ? (sameCandidate(candidate, candidates[index]) ? 'chosen' : '') : 'does not fit',
  ]);
  return `${node.name} (${node.operator})\n${columns([['signature', 'hosts', 'inputs', 'cost', ''], ...rows]).join('\n')}\n`;
}

function sameCandidate(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
