import { join } from 'node:path';
import type { Pool, Side } from '../../pool/definition/pool-file.js';
import type { Engine, JobDescription } from '../../pool/engines/engine.js';
import { farlightCommand, ownVariables } from '../../pool/host/job.js';
import { FarlightError } from '../../proto/errors.js';
import type { ImageFile } from '../images/images.js';
import type { JobRequest } from '../request/request-file.js';
import type { TaskTemplate, Template } from '../templates/template-file.js';
import { fillCommand, fillText, namesIn, type Value, type Values } from './leaf.js';

/** The parts of a job. All of them are kept with the job, so that a later attempt does not depend on a catalogue. */
export interface JobParts {
  readonly id: string;
  readonly request: JobRequest;
  readonly template: Template;
  /** The images of the types of tasks that run in one. */
  readonly images: Readonly<Record<string, Pick<ImageFile, 'name' | 'image' | 'bundle' | 'command'>>>;
  /** The folder of the job's files, which its nodes have too. */
  readonly folder: string;
}

/** One of the processes of a job. */
export interface Task {
  readonly type: string;
  readonly index: number;
}

/** A try at a task. */
export interface Attempt extends Task {
  readonly attempt: number;
}

/** The beginning of the names that engines know jobs of templates by. */
export const JOB_PREFIX = 'farlight-job.';

/** The name of a task in its job, such as `worker.0`. */
export function taskName({ type, index }: Task): string {
  return `${type}.${index}`;
}

/** The files of an attempt begin so. */
export function attemptName(which: Attempt): string {
  return `${taskName(which)}.${which.attempt}`;
}

/** How many tasks of each type a job has. */
export function countsOf({
  request,
  template,
}: Pick<JobParts, 'request' | 'template'>): [type: string, count: number][] {
  return Object.entries(template.file.tasks).map(([type, { count }]) => {
    const wanted = Object.hasOwn(request.tasks, type) ? request.tasks[type] : undefined;
    return [type, wanted ?? count?.default ?? 1];
  });
}

/** All tasks of a job. */
export function tasksOf(parts: Parameters<typeof countsOf>[0]): Task[] {
  return countsOf(parts).flatMap(([type, count]) =>
    Array.from({ length: count }, (_, index) => ({ type, index })),
  );
}

/**
 * The job of an engine that is an attempt at a task: the same for `farlight job render`, for `submit`, and for each later
 * attempt.
 *
 * @throws FarlightError BAD_OPTION where a value is missing, or would become an option.
 */
export function renderAttempt(parts: JobParts, pool: Pool, which: Attempt): JobDescription {
  const { id, request, template, folder } = parts;
  const task = template.file.tasks[which.type] as TaskTemplate;
  const side = task.gpu === 'here' ? pool.gpu : pool.cpu;
  const image = imageOf(parts, side, pool.engine.images, which.type);
  const output = outputOf(parts, which);
  const count = countsOf(parts).find(([type]) => type === which.type)?.[1] ?? 1;
  const values = valuesOf(parts, {
    farlight: image?.command ?? farlightCommand(side),
    output,
    'task.type': which.type,
    'task.index': String(which.index),
    'task.count': String(count),
  });
  checkOptions(task, template, values);
  const ofTask = Object.entries(task.environment ?? {}).map(([name, leaf]) => [
    name,
    fillText(String(leaf), values),
  ]);
  return {
    name: `${JOB_PREFIX}${id}.${taskName(which)}`,
    term: which.attempt,
    command: fillCommand(task.command.map(String), values),
    environment: {
      ...ownVariables(pool.engine, { image: image?.reference }),
      ...side.environment,
      ...gpuVariables(task, pool),
      ...Object.fromEntries(ofTask),
      ...request.environment,
      FARLIGHT_JOB: id,
      FARLIGHT_TASK: taskName(which),
    },
    log: join(folder, `${attemptName(which)}.log`),
    limits: {
      ...(pool.engine.limits.includes('minutes') && task.limits),
      ...side.limits,
      ...request.resources,
    },
    folder: task.folder === 'program' ? request.program : output,
    ...(image !== undefined && { image: image.reference, mounts: mountsOf(parts, side) }),
  };
}

/** The folder in which an attempt runs. Its files there are its result, if it ends well. */
export function outputOf({ folder }: Pick<JobParts, 'folder'>, which: Attempt): string {
  return join(folder, 'output', attemptName(which));
}

/** The folder that all tasks of a job have together. */
export function resultsOf({ folder }: Pick<JobParts, 'folder'>): string {
  return join(folder, 'results');
}

function valuesOf(parts: JobParts, more: Readonly<Record<string, Value>>): Values {
  const { id, request, template } = parts;
  const { name, program, boot, dataset } = request;
  const values = new Map<string, Value>(
    Object.entries({ id, name, program, arguments: request.arguments, results: resultsOf(parts), ...more }),
  );
  if (boot !== undefined) values.set('boot', boot);
  if (dataset !== undefined) values.set('dataset', dataset);
  for (const [parameter, { default: usual }] of Object.entries(template.file.parameters ?? {})) {
    const value = Object.hasOwn(request.parameters, parameter) ? request.parameters[parameter] : usual;
    if (value !== undefined)
      values.set(`parameters.${parameter}`, typeof value === 'object' ? value.map(String) : String(value));
  }
  return values;
}

/** A text of the request that is an argument by itself must not be read as an option by the program that gets it. */
function checkOptions(task: TaskTemplate, { file }: Template, values: Values): void {
  for (const { name, isAlone } of task.command.flatMap((leaf) => namesIn(String(leaf)))) {
    const parameter = name.startsWith('parameters.') && file.parameters?.[name.slice('parameters.'.length)];
    if (!isAlone || !parameter || !['string', 'array'].includes(parameter.type)) continue;
    const bad = [values.get(name) ?? []]
      .flat()
      .find((text) => text.startsWith('-') && Number.isNaN(Number(text)));
    if (bad !== undefined)
      throw new FarlightError(
        'BAD_OPTION',
        `${name} begins with "-" (${bad}), so that it would be taken for an option; give it another value`,
      );
  }
}

/** The variables that tell a task's program where its GPU is. */
function gpuVariables({ gpu = 'asked' }: TaskTemplate, pool: Pool): Record<string, string> {
  if (gpu === 'asked') return { FARLIGHT_HOST: pool.address };
  return gpu === 'here' ? { FARLIGHT_ADAPTER: pool.gpu.adapter } : {};
}

/** The image of a task, as its engine is given it, and how farlight is started in it. */
function imageOf(
  { request, images }: JobParts,
  side: Side,
  kind: Engine['images'],
  type: string,
): { reference: string; command?: readonly string[] } | undefined {
  const image = images[type];
  if (kind === 'none' || request.image === 'none') return undefined;
  const command = image?.command ?? side.command ?? ['farlight'];
  const reference = kind === 'bundle' ? image?.bundle : image?.image;
  if (reference !== undefined) return { reference, command };
  return side.image === undefined
    ? undefined
    : { reference: side.image, command: side.command ?? ['farlight'] };
}

function mountsOf({ request, folder }: JobParts, { mounts }: Side): string[] {
  const { program, isInImage, dataset } = request;
  return [folder, ...(isInImage ? [] : [program]), ...(dataset === undefined ? [] : [dataset]), ...mounts];
}
