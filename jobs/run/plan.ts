import { poolAddress } from '../../link/address/pool-address.js';
import { type Pool, readPool } from '../../pool/definition/pool-file.js';
import { checkLimits, type JobDescription } from '../../pool/engines/engine.js';
import { FarlightError } from '../../proto/errors.js';
import { findImage, type StoredImage, storedImages } from '../images/images.js';
import { nextId } from '../record/record.js';
import { countsOf, type JobParts, renderAttempt, tasksOf } from '../render/render.js';
import { type CheckedRequest, parseRequest } from '../request/request-file.js';
import { scopeText } from '../select/scope.js';
import { type Candidate, type Lost, type Selection, select } from '../select/select.js';
import { asError, readNamed } from '../store/catalogue.js';
import {
  findTemplate,
  newestTemplates,
  type StoredTemplate,
  storedTemplates,
} from '../templates/template-store.js';

/** A choice, and why it was made. `lost` is empty where the request named it. */
export interface Choice<C extends Candidate> {
  readonly chosen: C;
  readonly lost: readonly Lost<C>[];
}

/** The plan of a request: everything that is submitted, and how it was selected. */
export interface JobPlan {
  readonly parts: Omit<JobParts, 'id' | 'folder'>;
  readonly pool: Pool;
  readonly template: Choice<StoredTemplate>;
  /** By type of task; absent where a task runs without a container. */
  readonly images: ReadonlyMap<string, Choice<StoredImage>>;
  readonly warnings: readonly string[];
}

/** The templates and images that a plan chooses from. */
export interface Catalogue {
  readonly templates: readonly StoredTemplate[];
  readonly images: readonly StoredImage[];
}

/** Reads a request and plans its job. @throws FarlightError BAD_OPTION, by line and column. */
export function planFile(file: string): JobPlan {
  const { parsed, problems } = parseRequest(file, readNamed(file));
  if (!parsed) throw asError(problems);
  const pool = readPool(poolAddress(parsed.request.pool));
  return planJob(parsed, pool, { templates: storedTemplates(), images: storedImages() });
}

/** @throws FarlightError BAD_OPTION, where it can by line and column. */
export function planJob({ request, checked }: CheckedRequest, pool: Pool, catalogue: Catalogue): JobPlan {
  const template = chooseTemplate(request, catalogue.templates);
  const { file, parameters, uses } = template.chosen.template;
  const problems = checked.check(['parameters'], request.parameters, parameters);
  for (const [type, count] of Object.entries(request.tasks)) {
    const most = Object.hasOwn(file.tasks, type) ? (file.tasks[type]?.count?.most ?? 1) : 0;
    if (count > most)
      problems.push(
        checked.problem(['tasks', type], `${template.chosen.name} has at most ${most} tasks "${type}".`),
      );
  }
  for (const part of ['boot', 'dataset'] as const) {
    if (uses(part) && request[part] === undefined)
      problems.push(checked.problem([], `The template ${template.chosen.name} needs a "${part}".`));
  }
  if (problems.length > 0) throw asError(problems);
  const parts = { request, template: template.chosen.template };
  if (!countsOf(parts).some(([, count]) => count > 0))
    throw asError([checked.problem(['tasks'], 'The job has no task.')]);
  for (const [limit, value] of Object.entries(request.resources)) {
    try {
      checkLimits(pool.engine, { [limit]: value });
    } catch (error) {
      throw asError([checked.problem(['resources', limit], (error as Error).message, 'key')]);
    }
  }
  const images = chooseImages(parts, pool, catalogue.images);
  const warnings = [
    ...(template.chosen.deprecated === undefined
      ? []
      : [`${template.chosen.name} is deprecated: ${template.chosen.deprecated}`]),
    ...[...new Set([...images.values()].map(({ chosen }) => chosen.file))].flatMap(({ name, deprecated }) =>
      deprecated === undefined ? [] : [`the image ${name} is deprecated: ${deprecated}`],
    ),
    ...withoutPool(parts, pool),
  ];
  const chosen = Object.fromEntries(
    [...images].map(
      ([
        type,
        {
          chosen: { file: image },
        },
      ]) => {
        const { name, image: reference, bundle, command } = image;
        return [
          type,
          { name, image: reference, ...(bundle !== undefined && { bundle }), ...(command && { command }) },
        ];
      },
    ),
  );
  return { parts: { ...parts, images: chosen }, pool, template, images, warnings };
}

/** The tasks whose containers do not see the pool's file, by which their programs would ask for a GPU. */
function withoutPool({ request, template }: Pick<JobParts, 'request' | 'template'>, pool: Pool): string[] {
  const [, file] = /^pool:(\/.*)$/.exec(pool.address) ?? [];
  if (file === undefined || pool.engine.images !== 'registry') return [];
  const seen = [
    request.program,
    ...(request.dataset === undefined ? [] : [request.dataset]),
    ...pool.cpu.mounts,
  ];
  if (seen.some((path) => file === path || file.startsWith(`${path}/`))) return [];
  const asking = Object.entries(template.file.tasks).filter(([, { gpu = 'asked' }]) => gpu === 'asked');
  return asking.map(
    ([type]) =>
      `the container of the task ${type} does not see ${file}, by which its program asks for a GPU; add it to the mounts of cpu, or use a template with gpu: here`,
  );
}

/** The jobs that the engine would be given, if the job were submitted now. */
export function renderPlan({ parts, pool }: JobPlan, id: string, folder: string): JobDescription[] {
  return tasksOf(parts).map((task) => renderAttempt({ ...parts, id, folder }, pool, { ...task, attempt: 1 }));
}

/** The id that the job of a plan gets if it is submitted now. */
export function idOf({ parts }: JobPlan): string {
  return nextId(parts.request.name);
}

function chooseTemplate(
  request: CheckedRequest['request'],
  templates: readonly StoredTemplate[],
): Choice<StoredTemplate> {
  if (request.template !== undefined) return { chosen: findTemplate(request.template, templates), lost: [] };
  const selection = select(newestTemplates(templates), request, ({ template: { file } }) => {
    const unknown = Object.keys(request.tasks).find((type) => !Object.hasOwn(file.tasks, type));
    return unknown === undefined ? undefined : `it has no task "${unknown}"`;
  });
  return decided(selection, 'template', wantedText(request));
}

/** An image for each type of task, where the engine runs containers. */
function chooseImages(
  { request, template }: Pick<JobParts, 'request' | 'template'>,
  { engine, cpu, gpu }: Pool,
  images: readonly StoredImage[],
): Map<string, Choice<StoredImage>> {
  const chosen = new Map<string, Choice<StoredImage>>();
  if (engine.images === 'none' || request.image === 'none') return chosen;
  const lacks = ({ file }: StoredImage): string | undefined =>
    engine.images === 'bundle' && file.bundle === undefined
      ? `it has no bundle, which ${engine.name} needs`
      : undefined;
  for (const [type, count] of countsOf({ request, template })) {
    if (count === 0) continue;
    if (request.image !== undefined) {
      const image = findImage(request.image, images);
      const why = lacks(image);
      if (why) throw new FarlightError('BAD_OPTION', `the image ${image.name} cannot be used: ${why}`);
      chosen.set(type, { chosen: image, lost: [] });
      continue;
    }
    const selection = select(images, { ...request, task: type }, lacks);
    const side = template.file.tasks[type]?.gpu === 'here' ? gpu : cpu;
    // The pool's own image stands where the catalogue has none. A node of Slurm runs programs without a container, too.
    const mayLack = side.image !== undefined || engine.images === 'bundle';
    if (!selection.chosen && selection.tied.length === 0 && mayLack) continue;
    chosen.set(type, decided(selection, 'image', `${wantedText(request)} and the task ${type}`));
  }
  return chosen;
}

function decided<C extends Candidate>(
  { chosen, tied, lost }: Selection<C>,
  what: string,
  wanted: string,
): Choice<C> {
  if (chosen) return { chosen, lost };
  if (tied.length > 0) {
    const names = tied.map(({ name, scope }) => `${name} (for ${scopeText(scope)})`).join(' and ');
    const why = `several ${what}s are equally good for ${wanted}: ${names}; name one of them as the request's "${what}"`;
    throw new FarlightError('BAD_OPTION', why);
  }
  const reasons = lost.map(({ candidate, why }) => `${candidate.name}: ${why}`).join('; ');
  const add = what === 'image' ? 'farlight image build node makes one' : `farlight ${what} add FILE adds one`;
  throw new FarlightError(
    'BAD_OPTION',
    `there is no ${what} for ${wanted}; ${add}${reasons ? ` (${reasons})` : ''}`,
  );
}

function wantedText({ framework, kind }: CheckedRequest['request']): string {
  return `the kind ${kind}${framework === undefined ? '' : ` and the framework ${framework}`}`;
}
