import { Command } from 'commander';
import { codeOf, FarlightError } from '../proto/errors.js';
import { harmlessJson } from '../proto/harmless.js';
import { redact } from '../proto/token.js';
import { DEFAULT_TENANT, type TokenEntry, TokenStore } from '../server/trust/token-store.js';
import { addLimitOptions, formatLimits, limitChanges } from './options/limit-options.js';
import { type Style, styleOf, table } from './style.js';

export function tokenCommand(): Command {
  const command = new Command('token').description('Decide who may use this machine as a GPU host.');
  const adding = command
    .command('add')
    .description('Make a token and print it, only this once: the host keeps only its hash.')
    .option(
      '--tenant <name>',
      'the tenant it belongs to; tenants share nothing that the host keeps',
      DEFAULT_TENANT,
    )
    .option('--note <text>', 'what it is for, shown by ls')
    .allowExcessArguments(false)
    .action(add);
  addLimitOptions(adding, 'limit of its tenant from now on, or none for the limit that all have: ', {
    none: true,
  });
  command
    .command('ls')
    // As it was called before all commands said ls.
    .alias('list')
    .description('List the tokens by id and note, not the tokens themselves.')
    .option('--json', 'print them as JSON')
    .allowExcessArguments(false)
    .action(list);
  command
    .command('revoke <id>')
    .description('Reject a token from now on, also on running hosts.')
    .allowExcessArguments(false)
    .action(revoke);
  return command;
}

/** Only the token goes to stdout, so that a script can take it. */
async function add({ tenant, note, ...limits }: { tenant: string; note?: string }): Promise<void> {
  const store = new TokenStore();
  const { token, entry } = store.add({ tenant, note, limits: limitChanges(limits) });
  const lost = await written(`${token}\n`);
  if (lost) {
    // Nobody has it, and nobody would revoke it.
    store.revoke(entry.id);
    throw new FarlightError(
      'BAD_OPTION',
      `the token cannot be written (${codeOf(lost)}) and is revoked; add another one, to a place that can be written`,
    );
  }
  process.stderr.write(
    `token ${entry.id} for ${entry.tenant}, shown only this once; clients use it as grpcs://TOKEN@HOST:PORT\n`,
  );
}

/** Writes to stdout. Resolves to the error, if there is one. */
function written(text: string): Promise<Error | undefined> {
  return new Promise((resolve) => {
    // Tells of the error here, and not as one of any output.
    process.stdout.on('error', resolve);
    process.stdout.write(text, (error) => resolve(error ?? undefined));
  });
}

function list({ json }: { json?: boolean }): void {
  const tokens = new TokenStore().list();
  process.stdout.write(
    json ? `${harmlessJson(JSON.stringify(tokens, null, 2))}\n` : tokenTable(tokens, styleOf(process.stdout)),
  );
}

function revoke(id: string): void {
  if (!new TokenStore().revoke(id)) {
    throw new FarlightError(
      'BAD_OPTION',
      `there is no token with the id ${JSON.stringify(redact(id))}; farlight token ls shows the ids`,
    );
  }
  process.stdout.write(`revoked ${id}\n`);
}

function tokenTable(tokens: readonly TokenEntry[], style: Style): string {
  if (tokens.length === 0) return 'no tokens; make one with: farlight token add\n';
  const rows = tokens.map(({ id, created, tenant, note = '', limits = {} }) => [
    id,
    created.slice(0, 16).replace('T', ' '),
    tenant,
    formatLimits(limits),
    note,
  ]);
  return `${table(['id', 'created (UTC)', 'tenant', 'limits', 'note'], rows, style).join('\n')}\n`;
}
