import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { isNode, LineCounter, parseDocument } from 'yaml';

/** A problem of a file or a folder. Lines and columns count from 1. */
export interface Problem {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
}

/** A place in a file: the names and indices that lead to it. */
export type Path = readonly (string | number)[];

/** A YAML file that its schema allows. */
export interface CheckedFile<T> {
  readonly value: T;
  /** Makes a problem for the value at a path, or for its key if `key` is set. */
  problem(path: Path, message: string, where?: 'key'): Problem;
  /** Reports every problem that another schema finds in the value at a path. */
  check(path: Path, value: unknown, schema: ValidateFunction): Problem[];
}

const MOST_BYTES = 1 << 20;
/** Aliases of aliases can expand a small file without limit. */
const MOST_ALIASES = 100;

/** Reads a YAML file, and reports every problem that its schema finds. */
export function checkFile<T>(
  file: string,
  schema: ValidateFunction<T>,
): { checked?: CheckedFile<T>; problems: Problem[] } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return { problems: [{ file, message: `The file cannot be read: ${(error as Error).message}` }] };
  }
  return checkText(file, text, schema);
}

/** The same for a text that has been read already; `file` is what its problems call it. */
export function checkText<T>(
  file: string,
  text: string,
  schema: ValidateFunction<T>,
): { checked?: CheckedFile<T>; problems: Problem[] } {
  if (text.length > MOST_BYTES) return { problems: [{ file, message: 'The file is larger than 1 MiB.' }] };
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const at = (offset: number | undefined): { line?: number; column?: number } => {
    if (offset === undefined) return {};
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ message, pos }) => ({
      file,
      ...at(pos[0]),
      message: sentence(message),
    }));
    return { problems };
  }
  const offsetOf = (path: Path, where?: 'key'): number | undefined => {
    for (let length = path.length; length >= 0; length -= 1) {
      const above = document.getIn(path.slice(0, length - 1), true);
      const pairs = (above as { items?: { key?: unknown }[] } | undefined)?.items;
      const pair = pairs?.find(({ key }) => String(key) === String(path[length - 1]));
      if (where && pair && isNode(pair.key)) return pair.key.range?.[0];
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return node.range[0];
    }
    return 0;
  };
  const problem = (path: Path, message: string, where?: 'key'): Problem => ({
    file,
    ...at(offsetOf(path, where)),
    message,
  });
  let value: unknown;
  try {
    // An empty file has no value. The schema may allow that.
    value = document.toJS({ maxAliasCount: MOST_ALIASES }) ?? {};
  } catch (error) {
    return { problems: [{ file, ...at(0), message: sentence((error as Error).message) }] };
  }
  const check = (path: Path, part: unknown, ofPart: ValidateFunction): Problem[] =>
    ofPart(part) ? [] : (ofPart.errors ?? []).flatMap((error) => describe(error, problem, path));
  const problems = check([], value, schema);
  if (problems.length > 0) return { problems };
  return { checked: { value: value as T, problem, check }, problems };
}

/** As compilers say it, so that editors find the place. */
export function problemText({ file, line, column, message }: Problem): string {
  const place = line === undefined ? '' : `:${line}:${column}`;
  return `${relative('', file) || file}${place}: ${message.replace(/\.$/, '')}`;
}

/** Turns a validator's error into one sentence, at the place of the problem. The title of a `pattern` says how to write the value. */
function describe(
  { instancePath, keyword, params, message, propertyName, parentSchema }: ErrorObject,
  problem: CheckedFile<unknown>['problem'],
  above: Path,
): Problem[] {
  const below = instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const path = [...above, ...below];
  const subject = path.length === 0 ? 'The file' : `"${path.join('.')}"`;
  switch (keyword) {
    case 'additionalProperties': {
      const name: string = params.additionalProperty;
      const known = Object.keys(parentSchema?.properties ?? {}).join(', ');
      const why = `There is no setting "${name}" here${known && `; there are: ${known}`}.`;
      return [problem([...path, name], why, 'key')];
    }
    case 'required':
      return [problem(path, `${subject} has no "${params.missingProperty}".`)];
    case 'enum':
      return [problem(path, `${subject} must be one of ${params.allowedValues.join(', ')}.`)];
    case 'pattern':
      if (propertyName !== undefined)
        return [problem([...path, propertyName], `"${propertyName}" is no name.`, 'key')];
      return [problem(path, `${subject} is not written as it must be: ${parentSchema?.title ?? message}.`)];
    // The error of the name itself explains it.
    case 'propertyNames':
      return [];
    case 'anyOf':
      return [problem(path, `${subject} is none of what it may be.`)];
    default:
      return [problem(path, `${subject} ${message}.`)];
  }
}

function sentence(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
