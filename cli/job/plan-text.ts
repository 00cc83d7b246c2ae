import { countsOf } from '../../jobs/render/render.js';
import type { Choice, JobPlan } from '../../jobs/run/plan.js';
import { scopeText } from '../../jobs/select/scope.js';
import type { Candidate } from '../../jobs/select/select.js';
import { harmless } from '../../proto/harmless.js';
import { columns, type Style } from '../style.js';

const GPUS = {
  asked: 'a host of the pool, when the program asks for a GPU',
  here: 'that of its node',
  none: 'none',
} as const;

/** A plan as a person reads it. */
export function planText(
  plan: JobPlan,
  id: string,
  { explain, style }: { explain: boolean; style: Style },
): string {
  const { parts, pool, template, images } = plan;
  const { request } = parts;
  const { file } = template.chosen.template;
  const rows: [string, string][] = [
    ['job', id],
    ['pool', `${pool.name} (engine ${pool.engine.name})`],
    ['template', `${template.chosen.name}, for ${scopeText(template.chosen.scope)}`],
    ['program', request.boot ?? request.program],
    ...(request.dataset === undefined ? [] : ([['dataset', request.dataset]] as [string, string][])),
  ];
  for (const [name, { default: usual }] of Object.entries(file.parameters ?? {}))
    rows.push([`parameter ${name}`, JSON.stringify(request.parameters[name] ?? usual)]);
  for (const [type, count] of countsOf(parts)) {
    const image = images.get(type)?.chosen.file;
    const { gpu = 'asked' } = file.tasks[type] ?? {};
    const ofSide = request.image === 'none' ? undefined : pool[gpu === 'here' ? 'gpu' : 'cpu'].image;
    const own = ofSide === undefined ? 'without a container' : `in the pool's image (${ofSide})`;
    const place = image ? `in the image ${image.name} (${image.image})` : own;
    rows.push([`task ${type}`, `${count}, ${place}; GPU: ${GPUS[gpu]}`]);
  }
  const lines = columns(rows.map(([head, text]) => [style('bold', head), harmless(text)]));
  if (explain) {
    lines.push('', ...explained('template', template, style));
    for (const [type, choice] of images)
      lines.push('', ...explained(`image of the task ${type}`, choice, style));
  }
  return `${lines.join('\n')}\n`;
}

function explained<C extends Candidate>(what: string, { chosen, lost }: Choice<C>, style: Style): string[] {
  if (lost.length === 0) return [`${what}: ${chosen.name} was named, or is the only one`];
  const rows = lost.map(({ candidate, why }) => [`  ${candidate.name}`, harmless(why)]);
  return [
    `${what}: ${style('bold', chosen.name)} is the most specific that fits; the others:`,
    ...columns(rows),
  ];
}
