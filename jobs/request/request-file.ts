import { existsSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, normalize, relative, resolve } from 'node:path';
import { isPoolName } from '../../link/address/pool-address.js';
import { type CheckedFile, checkText, type Path, type Problem } from '../../link/files/checked-file.js';
import { packageSchema } from '../../link/machine/package-files.js';
import type { JobLimits } from '../../pool/engines/engine.js';
import type { ParameterValue } from '../templates/template-file.js';

/** A request, as it is written. */
interface RequestFile {
  readonly name?: string;
  readonly kind: string;
  readonly framework?: string;
  readonly template?: string;
  readonly image?: string;
  readonly pool?: string;
  readonly program?: string;
  readonly boot?: string;
  readonly dataset?: string;
  readonly tasks?: Readonly<Record<string, number>>;
  readonly arguments?: readonly (string | number)[];
  readonly parameters?: Readonly<Record<string, ParameterValue>>;
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly resources?: Omit<JobLimits, 'gpus'> & { readonly gpus?: string | number };
  readonly retries?: number;
}

/** A request for a job, with absolute paths. */
export interface JobRequest
  extends Pick<RequestFile, 'kind' | 'framework' | 'template' | 'image' | 'boot' | 'dataset' | 'retries'> {
  readonly name: string;
  /** A pool's name, or the absolute path of its file. */
  readonly pool: string;
  readonly program: string;
  /** The program is in the image, and not on this machine. */
  readonly isInImage: boolean;
  readonly tasks: Readonly<Record<string, number>>;
  readonly arguments: readonly string[];
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly resources: JobLimits;
}

/** A request, and the places of its parts in its file. */
export interface CheckedRequest {
  readonly request: JobRequest;
  readonly checked: Pick<CheckedFile<unknown>, 'problem' | 'check'>;
}

const IN_IMAGE = 'image:';

const schema = packageSchema<RequestFile>('jobs/request/request');

/** Checks the text of a request, and reports every problem. `file` is its path: paths in it begin there. */
export function parseRequest(file: string, text: string): { parsed?: CheckedRequest; problems: Problem[] } {
  const { checked, problems } = checkText(file, text, schema);
  if (!checked) return { problems };
  const request = normalized(checked.value, file);
  const found = [...textProblems(checked.value, checked), ...pathProblems(checked.value, request, checked)];
  return found.length > 0 ? { problems: found } : { parsed: { request, checked }, problems: [] };
}

function normalized(value: RequestFile, file: string): JobRequest {
  const folder = dirname(resolve(file));
  const { program = '.', pool = 'local', tasks = {}, parameters = {}, environment = {} } = value;
  const { gpus, ...limits } = value.resources ?? {};
  const isInImage = program.startsWith(IN_IMAGE);
  const at = isInImage ? normalize(program.slice(IN_IMAGE.length)) : resolve(folder, program);
  const { kind, framework, template, image, boot, dataset, retries } = value;
  return {
    name: value.name ?? nameOf(file),
    kind,
    ...(framework !== undefined && { framework }),
    ...(template !== undefined && { template }),
    ...(image !== undefined && { image }),
    pool: isPoolName(pool) ? pool : resolve(folder, pool),
    program: at,
    isInImage,
    ...(boot !== undefined && { boot: join(at, boot) }),
    ...(dataset !== undefined && { dataset: resolve(folder, dataset) }),
    tasks,
    arguments: (value.arguments ?? []).map(String),
    parameters,
    environment: Object.fromEntries(Object.entries(environment).map(([name, text]) => [name, String(text)])),
    resources: { ...limits, ...(gpus !== undefined && { gpus: String(gpus) }) },
    ...(retries !== undefined && { retries }),
  };
}

/** A job's name from its file's. */
function nameOf(file: string): string {
  const name = basename(file)
    .replace(/\.[^.]*$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .replace(/^[^a-z]+/, '');
  return name.slice(0, 40) || 'job';
}

/** No process can be given these in an argument or a variable. */
const IMPOSSIBLE = /\0|\p{Surrogate}/u;

function* textProblems(
  value: unknown,
  checked: CheckedRequest['checked'],
  path: Path = [],
): Generator<Problem> {
  if (typeof value === 'string') {
    if (IMPOSSIBLE.test(value))
      yield checked.problem(path, `"${path.join('.')}" has a character that no program can be given.`);
  } else if (typeof value === 'object' && value !== null) {
    const isList = Array.isArray(value);
    for (const [key, each] of Object.entries(value))
      yield* textProblems(each, checked, [...path, isList ? Number(key) : key]);
  }
}

function* pathProblems(
  { dataset, boot }: RequestFile,
  request: JobRequest,
  { problem }: CheckedRequest['checked'],
): Generator<Problem> {
  const { program, isInImage } = request;
  if (isInImage && !isAbsolute(program)) yield problem(['program'], 'A folder in an image begins with "/".');
  else if (!isInImage && !existsSync(program)) yield problem(['program'], `There is no folder ${program}.`);
  else if (boot !== undefined && request.boot !== undefined) {
    const inside = relative(program, request.boot);
    if (isAbsolute(boot) || inside === '' || inside === '..' || inside.startsWith('../'))
      yield problem(['boot'], `"${boot}" is not in the folder of the program.`);
    else if (!isInImage && !existsSync(request.boot))
      yield problem(['boot'], `There is no file ${boot} in the folder of the program.`);
  }
  if (dataset !== undefined && !existsSync(request.dataset ?? ''))
    yield problem(['dataset'], `There is no file or folder ${request.dataset}.`);
}
