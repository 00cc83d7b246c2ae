import { FarlightError } from '../errors.js';

/** An adapter as npm `webgpu` lists it. */
export interface ListedAdapter {
  readonly backend: string;
  readonly name: string;
}

const HEAD = '\nAvailable adapters:';
const LINE = /^ \* backend: '(.*)', name: '(.*)'$/gm;

/**
 * The error for an adapter that does not exist: `why`, and then a list of the existing adapters. The list has exactly
 * the form of npm `webgpu`, because programs read names from it.
 */
export function noSuchAdapter(why: string, adapters: readonly ListedAdapter[]): FarlightError {
  const lines = adapters.map(({ backend, name }) => `\n * backend: '${backend}', name: '${name}'`);
  return new FarlightError('NO_ADAPTER', `${why}${HEAD}${lines.join('')}`);
}

/** The message in one line: the listed adapters become part of the sentence. */
export function inOneLine(message: string): string {
  const names = listedAdapters(message).map(({ name }) => name);
  const [sentence = ''] = message.split(HEAD);
  return names.length > 0 ? `${sentence}; there is: ${names.join(', ')}` : sentence;
}

/** The adapters that a message of npm `webgpu` lists. */
export function listedAdapters(message: string): ListedAdapter[] {
  return [...message.matchAll(LINE)].map(([, backend = '', name = '']) => ({ backend, name }));
}
