import { FarlightError } from '../errors.js';

/** An adapter as npm `webgpu` lists it. */
export interface ListedAdapter {
  readonly backend: string;
  readonly name: string;
}

const HEAD = '\nAvailable adapters:';
const LINE = /^ \* backend: '(.*)', name: '(.*)'$/gm;

/**
 * The error for an adapter that there is not: `why`, and behind it the adapters there are, in the very lines of npm
 * `webgpu`, since programs take a name from those.
 */
export function noSuchAdapter(why: string, adapters: readonly ListedAdapter[]): FarlightError {
  const lines = adapters.map(({ backend, name }) => `\n * backend: '${backend}', name: '${name}'`);
  return new FarlightError('NO_ADAPTER', `${why}${HEAD}${lines.join('')}`);
}

/** A message in one line: the adapters that it lists stand in its sentence. */
export function inOneLine(message: string): string {
  const names = listedAdapters(message).map(({ name }) => name);
  const [sentence = ''] = message.split(HEAD);
  return names.length > 0 ? `${sentence}; there is: ${names.join(', ')}` : sentence;
}

/** The adapters that a message of npm `webgpu` lists. */
export function listedAdapters(message: string): ListedAdapter[] {
  return [...message.matchAll(LINE)].map(([, backend = '', name = '']) => ({ backend, name }));
}
