import { Command } from 'commander';
import { DEFAULT_DASHBOARD } from '../page/page-server.js';
import { bytes, duration } from '../page/site/format.js';
import { FarlightError } from '../proto/errors.js';
import { harmlessJson } from '../proto/harmless.js';
import type { HostView, SessionView } from '../server/observatory/host-view.js';
import { askDashboard, dashboardUrl, silenceOf } from './options/ask-dashboard.js';
import { type Style, styleOf, table } from './style.js';

interface SessionOptions {
  dashboard: string;
  json?: boolean;
  to?: string;
}

export function sessionCommand(): Command {
  const command = new Command('session').description(
    'List the sessions of the host on this machine, park them, or move them to another host.',
  );
  const add = (usage: string, about: string) =>
    command
      .command(usage)
      .description(about)
      .option(
        '--dashboard <address>',
        "the address of the host's dashboard, as it printed it",
        DEFAULT_DASHBOARD,
      )
      .option('--json', 'print the result as JSON')
      .allowExcessArguments(false);
  add('ls', 'List the open sessions, with their ids.').action(list);
  add(
    'park <session>',
    'Store a session that is at rest, and give its GPU memory back until its program goes on.',
  ).action((session: string, options: SessionOptions) => act('park', session, options));
  add('move <session>', 'Hand a session over to another host, where its program goes on.')
    .option(
      '--to <address>',
      'the other host, one of those of farlight serve --move-to (default: the first that takes it)',
    )
    .action((session: string, options: SessionOptions) => act('move', session, options));
  return command;
}

async function list({ dashboard, json }: SessionOptions): Promise<void> {
  const { sessions, now } = await stateOf(dashboard);
  const text = json
    ? harmlessJson(JSON.stringify(sessions, null, 2))
    : sessionTable(sessions, now, styleOf(process.stdout));
  process.stdout.write(`${text}\n`);
}

async function act(what: 'park' | 'move', session: string, options: SessionOptions): Promise<void> {
  const { dashboard, json, to } = options;
  // A session may take long to store. So a host that does not answer is found before.
  await stateOf(dashboard);
  const parameters = new URLSearchParams(to === undefined ? { session } : { session, to });
  const response = await answerOf(dashboard, (url) =>
    fetch(`${url}/session/${what}?${parameters}`, { method: 'POST' }),
  );
  const done = what === 'park' ? 'parked' : 'moved';
  if (response.status !== 204) {
    const reason = (await response.text()).trim().slice(0, 1000);
    throw new FarlightError('BAD_OPTION', `the session ${session} was not ${done}: ${reason}`);
  }
  process.stdout.write(json ? `${JSON.stringify({ session, [done]: true })}\n` : `${done} ${session}\n`);
}

/** The state of the host now. @throws FarlightError (rejects) */
async function stateOf(dashboard: string): Promise<HostView> {
  const view = await answerOf(dashboard, async (url) => {
    const response = await askDashboard(url, '/host.json');
    return (await response.json().catch(() => ({}))) as Partial<HostView>;
  });
  if (!Array.isArray(view.sessions) || view.now === undefined)
    throw noHost(dashboard, 'another server answers');
  return view as HostView;
}

/** @throws FarlightError BAD_OPTION for the address, UNAUTHORIZED, or UNREACHABLE where nobody answers (rejects). */
async function answerOf<T>(dashboard: string, ask: (url: string) => Promise<T>): Promise<T> {
  const url = dashboardUrl(dashboard);
  try {
    return await ask(url);
  } catch (error) {
    if (error instanceof FarlightError) throw error;
    throw noHost(dashboard, silenceOf(error));
  }
}

function noHost(dashboard: string, why: string): FarlightError {
  return new FarlightError(
    'UNREACHABLE',
    `there is no dashboard of a Farlight host at ${dashboardUrl(dashboard)} (${why}); name the address that the host printed with --dashboard 127.0.0.1:PORT`,
  );
}

function sessionTable(sessions: readonly SessionView[], now: number, style: Style): string {
  if (sessions.length === 0) return 'no program has a session open';
  const rows = sessions.map(({ session, program, tenant, since, parked, work }) => [
    session,
    program,
    tenant,
    parked
      ? `parked for ${duration(now - parked.since)}, ${bytes(parked.bytes)} on disk`
      : `${bytes(work.gpuBytes)} of GPU memory`,
    duration(now - since),
  ]);
  return table(['id', 'program', 'tenant', 'state', 'open for'], rows, style).join('\n');
}
