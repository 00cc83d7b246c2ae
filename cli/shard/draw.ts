import type { PlanReport } from '../../shard/index.js';

const ROW = 22;
const WIDTH = 760;

const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? '');

/** A color for whole nodes, one for split nodes, and one for nodes that leave terms. */
function colorOf(signature: string): string {
  const [inputs = '', outputs = ''] = signature.split('>');
  if (/P/.test(outputs)) return '#c2703d';
  return /S/.test(inputs + outputs) ? '#2f7fb5' : '#9aa3ab';
}

/** A plan as a picture (SVG): the nodes from top to bottom, with a bar where something moves between hosts. */
export function drawPlan(report: PlanReport): string {
  const rows: string[] = [];
  let y = 64;
  const most = Math.max(1, ...report.transfers.map(({ bytes }) => bytes));
  const moved = (node: string | undefined) =>
    report.transfers.filter((one) => one.node === node && one.bytes > 0);
  const bar = (node: string | undefined) => {
    for (const { tensor, from, to, bytes } of moved(node)) {
      const width = 20 + (bytes / most) * 180;
      rows.push(
        `<rect x="520" y="${y - 13}" width="${width.toFixed(1)}" height="4" fill="#b5443c"/>`,
        `<text x="30" y="${y}" class="small">${escaped(`${tensor}: ${from} → ${to}, ${bytes} B`)}</text>`,
      );
      y += ROW - 4;
    }
  };
  for (const { name, operator, signature, hosts } of report.nodes) {
    bar(name);
    rows.push(
      `<rect x="16" y="${y - 13}" width="10" height="16" rx="2" fill="${colorOf(signature)}"/>`,
      `<text x="34" y="${y}">${escaped(operator)}</text>`,
      `<text x="170" y="${y}" class="small">${escaped(name.slice(0, 44))}</text>`,
      `<text x="520" y="${y}">${escaped(signature)} <tspan class="small">on ${hosts.join()}</tspan></text>`,
    );
    y += ROW;
  }
  bar(undefined);
  const style =
    'text{font:13px system-ui,sans-serif;fill:#1c2329}.small{font-size:11px;fill:#5a656e}.back{fill:#fff}' +
    '@media(prefers-color-scheme:dark){text{fill:#e4e9ed}.small{fill:#9fabb5}.back{fill:#15191d}}';
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 8}" role="img"><title>${escaped(report.verdict)}</title>` +
    `<style>${style}</style><rect class="back" width="100%" height="100%"/><text x="16" y="22">${escaped(report.verdict)}</text>` +
    '<text x="16" y="42" class="small">grey: whole on each host; blue: split; orange: leaves terms of a sum; red: what moves between hosts</text>' +
    `${rows.join('')}</svg>\n`
  );
}
