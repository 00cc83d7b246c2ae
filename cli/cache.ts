import { Command } from 'commander';
import { FarlightError } from '../proto/errors.js';
import {
  clearAllShaders,
  clearTenants,
  PROFILES,
  summarizeAllShaders,
  summarizeTenants,
  type TenantsSummary,
  takeOverOldRoot,
  tenantsRoot,
} from '../server/contents/tenant-folders.js';
import { type Style, styleOf } from './style.js';

interface CacheOptions {
  json?: boolean;
}

/** One kind of cache on this machine. --json gives it under its key in KINDS. */
interface CacheKind {
  readonly title: string;
  readonly folder: () => string;
  readonly summarize: () => TenantsSummary;
  readonly clear: () => TenantsSummary;
}

const KINDS: Readonly<Record<string, CacheKind>> = {
  programs: {
    title: 'what programs compiled on this machine, kept to compile it ahead',
    folder: tenantsRoot,
    summarize: () => summarizeTenants(tenantsRoot(), PROFILES),
    clear: () => clearTenants(tenantsRoot(), PROFILES),
  },
  shaders: {
    title: "what the GPU's driver compiled for programs that use this machine as their GPU host",
    folder: tenantsRoot,
    summarize: () => summarizeAllShaders(),
    clear: () => clearAllShaders(),
  },
  host: {
    title: 'uploads kept for programs that use this machine as their GPU host',
    folder: tenantsRoot,
    summarize: summarizeTenants,
    clear: clearTenants,
  },
};

export function cacheCommand(): Command {
  const command = new Command('cache').description(
    'Show or delete the uploads that Farlight keeps on this machine.',
  );
  command
    .command('ls')
    .description('Show how much is kept, and when it was last used.')
    .option('--json', 'print the findings as JSON')
    .allowExcessArguments(false)
    .action(list);
  command
    .command('clear')
    .description('Delete everything that is kept; programs upload it again.')
    .option('--json', 'print what was deleted as JSON')
    .allowExcessArguments(false)
    .action(clear);
  return command;
}

function list({ json }: CacheOptions): void {
  report(json, (kind) => kind.summarize(), printSummary, '\n');
}

function clear({ json }: CacheOptions): void {
  report(json, (kind) => kind.clear(), printCleared, '');
}

function report(
  json: boolean | undefined,
  act: (kind: CacheKind) => TenantsSummary,
  print: (kind: CacheKind, summary: TenantsSummary, style: Style) => string,
  between: string,
): void {
  takeOverOldRoot();
  const style = styleOf(process.stdout);
  const texts: string[] = [];
  const findings: Record<string, object> = {};
  for (const [key, kind] of Object.entries(KINDS)) {
    const summary = guarded(kind, act);
    texts.push(print(kind, summary, style));
    findings[key] = toJson(kind, summary);
  }
  process.stdout.write(json ? `${JSON.stringify(findings, null, 2)}\n` : texts.join(between));
}

function guarded(kind: CacheKind, act: (kind: CacheKind) => TenantsSummary): TenantsSummary {
  try {
    return act(kind);
  } catch (cause) {
    const { code = String(cause), path = kind.folder() } = cause as NodeJS.ErrnoException;
    throw new FarlightError(
      'CACHE_UNUSABLE',
      `the cache ${path} cannot be read or cleared (${code}); make it a folder of this user, or delete it`,
      { cause },
    );
  }
}

function toJson(kind: CacheKind, { oldestUse, newestUse, ...counts }: TenantsSummary) {
  return {
    folder: kind.folder(),
    ...counts,
    ...(oldestUse !== undefined && { oldestUse: new Date(oldestUse).toISOString() }),
    ...(newestUse !== undefined && { newestUse: new Date(newestUse).toISOString() }),
  };
}

function printSummary({ title, folder }: CacheKind, summary: TenantsSummary, style: Style): string {
  const { tenants, oldestUse, newestUse } = summary;
  const lines = [
    style('bold', title),
    `  folder    ${folder()}`,
    `  tenants   ${tenants}`,
    `  contents  ${amount(summary)}`,
  ];
  if (oldestUse !== undefined && newestUse !== undefined) {
    lines.push(`  used      between ${minute(oldestUse)} and ${minute(newestUse)}`);
  }
  return `${lines.join('\n')}\n`;
}

function printCleared({ title, folder }: CacheKind, summary: TenantsSummary): string {
  return `deleted from ${folder()}: ${amount(summary)} of ${title}\n`;
}

function amount({ count, bytes }: TenantsSummary): string {
  return `${count.toLocaleString('en-US')} (${size(bytes)})`;
}

function size(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** In local time, as a person remembers it. */
function minute(time: number): string {
  const date = new Date(time - new Date(time).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 16).replace('T', ' ');
}
