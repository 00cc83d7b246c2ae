import type { PlanReport } from '../../shard/index.js';
import { columns, type Style } from '../style.js';

const bytes = (count: number) => {
  if (count < 10_000) return `${count} B`;
  if (count < 10 * 2 ** 20) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 2 ** 20).toFixed(1)} MiB`;
};
const ms = (seconds: number) => `${(seconds * 1000).toFixed(2)} ms`;

/** A plan for people: what moves, what each host holds, how long a step takes, and whether it pays. */
export function planText(report: PlanReport, style: Style): string {
  const table = (head: readonly string[], rows: readonly (readonly string[])[]) => {
    const [first = '', ...rest] = columns([head, ...rows].map((row) => [...row]));
    return [style('bold', first), ...rest];
  };
  const isPlain = (signature: string) => /^[B,>]*$/.test(signature);
  const split = report.nodes.filter(({ signature }) => !isPlain(signature));
  const lines = [
    style('bold', report.verdict),
    '',
    ...table(
      ['host', 'weights', 'activations'],
      [
        ...report.hosts.map((host) => [String(host.host), bytes(host.weights), bytes(host.activations)]),
        ['one host alone', bytes(report.oneHost.weights), bytes(report.oneHost.activations)],
      ],
    ),
    '',
    `a step: ${ms(report.seconds.computing)} computing, ${ms(report.seconds.moving)} moving ${bytes(report.bytes)}`,
    report.isExact ? 'no plan moves less' : 'there may be a better plan: not all of them were looked at',
    '',
    ...table(
      ['moved', 'from', 'to', 'for', 'bytes', 'lines'],
      // Where each host has what it needs already, nothing is shown.
      report.transfers
        .filter(({ bytes: moved }) => moved > 0)
        .map(({ tensor, node, from, to, bytes: moved, hops }) => [
          tensor,
          from,
          to,
          node ?? 'the program',
          bytes(moved),
          hops
            .map((hop) => hop.map((line) => `${line.from}>${line.to} ${bytes(line.bytes)}`).join(' '))
            .join('; then '),
        ]),
    ),
    '',
    ...table(
      ['split node', 'operator', 'hosts', 'signature'],
      split.map(({ name, operator, hosts, signature }) => [name, operator, hosts.join(), signature]),
    ),
    `${report.nodes.length - split.length} of ${report.nodes.length} nodes run whole on each of their hosts`,
  ];
  return `${lines.join('\n')}\n`;
}
