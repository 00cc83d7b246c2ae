import type { walkModel } from '../../shard/index.js';
import { textOf } from '../../shard/layout/descriptor.js';
import { columns } from '../style.js';

/**
 * The cost of each candidate of a node, after the walk has chosen for the nodes before it. The cost is the sum over the
 * inputs, of laying each as the candidate needs it. Throws an Error if the model has no such node.
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
