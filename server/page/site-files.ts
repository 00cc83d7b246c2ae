import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageFile } from '../../link/machine/package-files.js';

/** What the page imports from outside its folder, by its path in dist/, at which its import comes out too. */
const BESIDE = ['proto/activity.js'];

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface SiteFile {
  type: string;
  /** Read when it is first asked for. */
  bytes(): Buffer;
}

/** The page's files by their paths on the server. No other file can be asked for. */
export function siteFiles(folder = fileURLToPath(packageFile('server/page/site'))): Map<string, SiteFile> {
  const files = new Map<string, SiteFile>();
  const add = (path: string, file: string) => {
    const type = TYPES[extname(file)];
    if (!type) return;
    let read: Buffer | undefined;
    const bytes = () => {
      read ??= readFileSync(file);
      return read;
    };
    files.set(path, { type, bytes });
  };
  for (const name of readdirSync(folder)) add(name === 'index.html' ? '/' : `/${name}`, join(folder, name));
  for (const path of BESIDE) add(`/${path}`, fileURLToPath(packageFile(path)));
  return files;
}
