/** The reports of a pool's host in its job's log, for the programs that wait for it. */
import type { JobStatus } from '../engines/engine.js';
import type { Ready } from '../journal/journal.js';

export interface Report {
  readonly term: number;
  readonly ready?: Ready;
  /** Why it has ended: its sessions are closed, and it serves no more. */
  readonly ended?: string;
}

const MARK = 'farlight pool host: ';
const FOLDER = 'files:';

/** The folder of an address that `addressOf` made for a program's command; undefined for a host that takes sessions. */
export function folderOf(address: string): string | undefined {
  return address.startsWith(FOLDER) ? address.slice(FOLDER.length) : undefined;
}

export function reportLine(report: Report): string {
  return `${MARK}${JSON.stringify(report)}\n`;
}

/** The latest reports of a host of this term, in its job's output. */
export function readReports(output: string, term: number): Omit<Report, 'term'> {
  const found: { ready?: Ready; ended?: string } = {};
  for (const line of output.split('\n')) {
    if (!line.startsWith(MARK)) continue;
    try {
      const { term: of, ready, ended }: Report = JSON.parse(line.slice(MARK.length));
      if (of === term) Object.assign(found, ready && { ready }, ended !== undefined && { ended });
    } catch {
      // The host is writing this line.
    }
  }
  return found;
}

/** The last message of a command in its output. It tells a person why the command ended. */
export function lastWords(output: string): string | undefined {
  const said = output.split('\n').filter((line) => line.startsWith('farlight: '));
  return said.at(-1)?.slice('farlight: '.length);
}

/** The address of a ready host, with the token of its term where it asks for one. */
export function addressOf(ready: Ready, status: JobStatus | undefined, token: string): string | undefined {
  if ('socket' in ready) return `unix:${ready.socket}`;
  if ('folder' in ready) return `${FOLDER}${ready.folder}`;
  if (status?.phase !== 'running') return undefined;
  const host = status.address.includes(':') ? `[${status.address}]` : status.address;
  return `grpcs://${token}@${host}:${ready.port}?ca=${ready.pin}`;
}
