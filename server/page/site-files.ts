import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageFile } from '../../link/machine/package-files.js';

/** Files that the page imports from outside its folder, by their path in dist/, which is also their path on the server. */
const BESIDE = ['proto/session/spans.js'];

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export interface SiteFile {
  type: string;
  /** Reads the file at the first call. */
  bytes(): Buffer;
}

/** The page's files, by their paths on the server. It serves no others. */
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
