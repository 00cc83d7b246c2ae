import { basename, dirname, join, resolve } from 'node:path';

/** The folder of an application's state. It lies beside the file, so that functions find packages as the file does. */
export function stateFolderOf(file: string, named: string | undefined): string {
  if (named !== undefined) return resolve(named);
  return join(resolve(dirname(file)), `${basename(file).replace(/\.[^.]*$/, '')}.state`);
}
