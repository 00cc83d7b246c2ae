import type { walkModel } from '../../shard/index.js';
import { signatureText } from '../../shard/plan/candidates.js';
import { columns } from '../style.js';

/**
 * A table of a node's candidates with their costs in the walk. The cost of a candidate is the sum of the costs to lay each
 * input as it needs them. Throws an Error if the model has no such node.
 */
export function explainNode(
  { problem: { graph }, explained, candidates }: Awaited<ReturnType<typeof walkModel>>,
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
  const rows = (explained[index] ?? []).map(({ candidate, inputs, cost, fits }) => [
    signatureText(node, candidate),
    candidate.mesh.hosts.join(),
    inputs.map((one) => one.toFixed(0)).join(' + '),
    cost.toFixed(0),
    fits ? (candidate === candidates[index] ? 'chosen' : '') : 'does not fit',
  ]);
  return `${node.name} (${node.operator})\n${columns([['signature', 'hosts', 'inputs', 'cost', ''], ...rows]).join('\n')}\n`;
}
