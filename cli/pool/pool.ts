import { Command } from 'commander';
import { poolAddress } from '../../link/address/pool-address.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless, harmlessJson } from '../../proto/harmless.js';
import { styleOf, table } from '../style.js';
import { runInPoolCommand, upCommand } from './environment.js';
import { serveCommand } from './serve.js';

const PORTAL = 'of a portal: https://TOKEN@HOST:PORT?ca=PIN, or http://127.0.0.1:PORT';

export function poolCommand(): Command {
  const command = new Command('pool')
    .enablePositionalOptions()
    .description('Hosts that a scheduler starts when a program asks for a GPU, and takes back.');
  command
    .command('ls')
    .description('List the hosts that pools have in their engines, and which pools there are.')
    .option('--portal <url>', PORTAL)
    .option('--json', 'print them as JSON')
    .allowExcessArguments(false)
    .action(list);
  command
    .command('describe <pool>')
    .description('Say what a pool is, where its hosts stand and why, and what its engine is told to run.')
    .option('--portal <url>', PORTAL)
    .allowExcessArguments(false)
    .action(describe);
  command
    .command('down [pool]')
    .description('End the hosts of a pool, also those that a crashed program has left.')
    .option('--all', 'of every pool of this user')
    .option('--portal <url>', PORTAL)
    .allowExcessArguments(false)
    .action(down);
  command.addCommand(serveCommand());
  command.addCommand(upCommand());
  command.addCommand(runInPoolCommand());
  return command;
}

async function list({ json, portal }: { json?: boolean; portal?: string }): Promise<void> {
  if (portal !== undefined) return (await loadByPortal()).listByPortal(portal, { json: json === true });
  const { jobsEverywhere, poolNames } = await loadTeardown();
  const { jobs, silent } = await jobsEverywhere();
  if (json) {
    const rows = jobs.map(({ engine, ...job }) => ({ engine: engine.name, ...job }));
    process.stdout.write(
      `${harmlessJson(JSON.stringify({ pools: poolNames(), jobs: rows, silent }, null, 2))}\n`,
    );
    return;
  }
  const style = styleOf(process.stdout);
  const rows = jobs.map(({ engine, id, name, term, status }) => {
    const where = status.phase === 'running' ? status.node : status.why;
    return [engine.name, id, name.replace(/^farlight\./, ''), String(term), status.phase, where];
  });
  const heads = ['engine', 'job', 'pool and slot', 'term', 'phase', 'where or why'];
  process.stdout.write(rows.length > 0 ? `${table(heads, rows, style).join('\n')}\n` : 'no hosts\n');
  process.stdout.write(`pools: ${poolNames().map(harmless).join(', ')}\n`);
  for (const why of silent) process.stderr.write(`farlight: ${harmless(why)}\n`);
}

async function describe(name: string, { portal }: { portal?: string }): Promise<void> {
  if (portal !== undefined) return (await loadByPortal()).describeByPortal(portal, name);
  const { describePool, readPool } = await loadTeardown();
  process.stdout.write(await describePool(readPool(poolAddress(name))));
}

async function down(
  name: string | undefined,
  { all, portal }: { all?: boolean; portal?: string },
): Promise<void> {
  if ((name === undefined) === !all) {
    throw new FarlightError(
      'BAD_OPTION',
      all
        ? `--all ends the hosts of every pool, and ${name} is one; leave out one of them`
        : 'name a pool to end its hosts, or give --all to end those of every pool',
    );
  }
  if (portal !== undefined) return (await loadByPortal()).endByPortal(portal, name);
  const { endAll, endPool, readPool } = await loadTeardown();
  const { ended, silent } = name === undefined ? await endAll() : await endPool(readPool(poolAddress(name)));
  process.stdout.write(`ended ${ended} ${ended === 1 ? 'host' : 'hosts'}\n`);
  if (silent.length > 0) throw new FarlightError('UNREACHABLE', silent.join('; '));
}

function loadByPortal(): Promise<typeof import('./by-portal.js')> {
  return import('./by-portal.js');
}

function loadTeardown(): Promise<typeof import('../../pool/teardown/teardown.js')> {
  return import('../../pool/teardown/teardown.js');
}
