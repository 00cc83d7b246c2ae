import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageFile } from '../link/machine/package-files.js';
import type { PageServer } from './page-server.js';

/** The files of every page: style sheets, and parts in the browser. */
const SHARED = 'page/site';

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

/**
 * A page's own files and the files that every page has, by their paths on the server. It serves no others.
 *
 * @param folder of its own files, by its path in dist/.
 * @param beside files that it imports from elsewhere, by their paths in dist/, which are also their paths on the server.
 */
export function siteFiles(folder: string, beside: readonly string[] = []): Map<string, SiteFile> {
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
  for (const each of [SHARED, folder]) {
    const there = fileURLToPath(packageFile(each));
    for (const name of readdirSync(there)) add(name === 'index.html' ? '/' : `/${name}`, join(there, name));
  }
  for (const path of beside) add(`/${path}`, fileURLToPath(packageFile(path)));
  return files;
}

/** Serves a page's files. */
export function addSite(page: PageServer, files: ReadonlyMap<string, SiteFile>): void {
  for (const [path, { type, bytes }] of files) {
    page.on(path, (_, response) => {
      response.writeHead(200, { 'content-type': type });
      response.end(bytes());
    });
  }
}
