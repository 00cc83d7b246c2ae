import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('./site', import.meta.url));

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
export function siteFiles(folder = FOLDER): Map<string, SiteFile> {
  const files = new Map<string, SiteFile>();
  for (const name of readdirSync(folder)) {
    const type = TYPES[extname(name)];
    if (!type) continue;
    let read: Buffer | undefined;
    const bytes = () => {
      read ??= readFileSync(join(folder, name));
      return read;
    };
    files.set(name === 'index.html' ? '/' : `/${name}`, { type, bytes });
  }
  return files;
}
