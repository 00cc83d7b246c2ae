import { setTimeout as wait } from 'node:timers/promises';
import { Command } from 'commander';
import { DEFAULT_INFER_DASHBOARD } from '../../infer/page/dashboard.js';
import type { ServerEvent, ServerView } from '../../infer/statistics/server-view.js';
import { deferred } from '../../link/machine/deferred.js';
import { DEFAULT_DASHBOARD } from '../../page/page-server.js';
import { EventReader } from '../../page/site/event-reader.js';
import { FarlightError } from '../../proto/errors.js';
import { harmlessJson } from '../../proto/harmless.js';
import type { HostView } from '../../server/observatory/host-view.js';
import type { HostEvent } from '../../server/page/dashboard.js';
import { DEFAULT_STREAM_DASHBOARD } from '../../stream/page/dashboard.js';
import type { ApplicationEvent, ApplicationView } from '../../stream/statistics/application-view.js';
import { askDashboard, dashboardUrl, silenceOf } from '../options/ask-dashboard.js';
import { exitByHangUp } from '../stop-signal.js';
import { type Style, styleOf } from '../style.js';
import { applicationLines } from './application-lines.js';
import type { TopSize } from './fitted.js';
import { hostLines } from './host-lines.js';
import { serverLines } from './server-lines.js';

interface TopOptions {
  dashboard?: string;
  json?: boolean;
}

/** A kind of server that has a dashboard. */
interface Kind<View> {
  /** The name of its events, and of its state: its dashboard has that at `/NAME.json`. */
  readonly name: string;
  is(view: Partial<View>): boolean;
  /** Its state in an event. */
  of(event: unknown): View;
  lines(view: View, size: TopSize, style: Style): string[];
}

const HOST: Kind<HostView> = {
  name: 'host',
  is: ({ sessions, totals }) => Array.isArray(sessions) && totals !== undefined,
  of: (event) => (event as HostEvent).host,
  lines: hostLines,
};

const INFERENCE: Kind<ServerView> = {
  name: 'server',
  is: ({ recent, totals }) => Array.isArray(recent) && totals !== undefined,
  of: (event) => (event as ServerEvent).server,
  lines: serverLines,
};

const STREAM: Kind<ApplicationView> = {
  name: 'application',
  is: ({ posted, startedAt }) => Array.isArray(posted) && startedAt !== undefined,
  of: (event) => (event as ApplicationEvent).application,
  lines: applicationLines,
};

const DEFAULT_DASHBOARDS = [DEFAULT_DASHBOARD, DEFAULT_INFER_DASHBOARD, DEFAULT_STREAM_DASHBOARD];

/** A server that answers, and its state. */
interface Found<View> {
  readonly url: string;
  readonly kind: Kind<View>;
  readonly view: View;
}

/** How long to wait before a lost server is asked again, in milliseconds. */
const AGAIN_MS = 1000;

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export function topCommand(): Command {
  return new Command('top')
    .description('Show live what the host, the inference server or the stream on this machine does; q quits.')
    .option(
      '--dashboard <address>',
      `the address of the dashboard (default: ${DEFAULT_DASHBOARD}, a host's, or else ${DEFAULT_INFER_DASHBOARD}, an inference server's, or ${DEFAULT_STREAM_DASHBOARD}, a stream's)`,
    )
    .option('--json', 'print the current state as JSON, once')
    .allowExcessArguments(false)
    .action(top);
}

async function top({ dashboard, json }: TopOptions): Promise<void> {
  const found = await findServer(dashboard);
  if (json) {
    process.stdout.write(`${harmlessJson(JSON.stringify(found.view, null, 2))}\n`);
  } else if (process.stdout.isTTY && process.stdin.isTTY) {
    await new Screen(found).shown;
  } else {
    const unbounded = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY };
    const { kind, view } = found;
    process.stdout.write(`${kind.lines(view, unbounded, styleOf(process.stdout)).join('\n')}\n`);
  }
}

/** Finds out which kind of server has a dashboard there. @throws FarlightError UNREACHABLE if none answers (rejects). */
async function findServer(dashboard: string | undefined): Promise<Found<unknown>> {
  const addresses = dashboard === undefined ? DEFAULT_DASHBOARDS : [dashboard];
  let problem: unknown;
  let refusal: FarlightError | undefined;
  for (const address of addresses) {
    const url = dashboardUrl(address);
    for (const kind of [HOST, INFERENCE, STREAM] as Kind<unknown>[]) {
      try {
        return { url, kind, view: await readView(url, kind) };
      } catch (error) {
        problem ??= error;
        if (error instanceof FarlightError) refusal ??= error;
        if (!(error instanceof NoSuchPage)) break;
        problem = error;
      }
    }
  }
  if (refusal) throw refusal;
  throw new FarlightError(
    'UNREACHABLE',
    `there is no dashboard of a Farlight host, inference server or stream at ${addresses.map(dashboardUrl).join(' or ')} (${silenceOf(problem)}); start one here with farlight serve, farlight infer or farlight stream run, or name the address that it printed as its dashboard with --dashboard 127.0.0.1:PORT`,
    { cause: problem },
  );
}

/** A server that answers has nothing there: it is another kind of server. */
class NoSuchPage extends Error {}

async function readView<View>(url: string, { name, is }: Kind<View>): Promise<View> {
  const response = await askDashboard(url, `/${name}.json`);
  if (response.status === 404) throw new NoSuchPage('no Farlight server');
  if (!response.ok) throw new Error(`status ${response.status}`);
  const view = (await response.json()) as Partial<View>;
  if (!is(view)) throw new Error('no Farlight server');
  return view as View;
}

/** The terminal while a server is shown on it. Afterwards it looks as it did before. */
class Screen {
  readonly #left = deferred<void>();
  readonly #url: string;
  readonly #kind: Kind<unknown>;
  readonly #gone = new AbortController();
  #view: unknown;
  #answers = true;

  constructor({ url, kind, view }: Found<unknown>) {
    this.#url = url;
    this.#kind = kind;
    this.#view = view;
    const { stdin, stdout } = process;
    stdout.write(ENTER);
    stdin.setRawMode(true);
    stdin.on('data', this.#onKey);
    stdout.on('resize', this.#draw);
    // A terminal that is gone.
    stdout.on('error', this.#end);
    process.on('exit', this.#restore);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.#end);
    this.#draw();
    void this.#follow();
  }

  /** Resolves when the server is no longer shown. */
  get shown(): Promise<void> {
    return this.#left.promise;
  }

  readonly #onKey = (keys: Buffer) => {
    // In raw mode ctrl-C is an ordinary character.
    if (['q', 'Q', '\u0003'].some((key) => keys.includes(key))) this.#end();
  };

  readonly #end = (why?: unknown) => {
    if (why === 'SIGHUP' || why instanceof Error) exitByHangUp();
    this.#gone.abort();
    const { stdin, stdout } = process;
    stdin.off('data', this.#onKey);
    stdin.pause();
    stdout.off('resize', this.#draw);
    stdout.off('error', this.#end);
    process.off('exit', this.#restore);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.#end);
    this.#restore();
    this.#left.resolve();
  };

  readonly #restore = () => {
    process.stdin.setRawMode(false);
    process.stdout.write(LEAVE);
  };

  readonly #draw = () => {
    const { stdout } = process;
    const size = { columns: stdout.columns, rows: stdout.rows - 1 };
    const style = styleOf(stdout);
    const lines = this.#kind.lines(this.#view, size, style);
    const state = this.#answers
      ? style('dim', 'q ends')
      : style('red', 'the server does not answer, trying again');
    const text = lines.map((line) => `${line}${CLEAR_LINE}\r\n`).join('');
    stdout.write(`${HOME}${text}${CLEAR_BELOW}\x1b[${stdout.rows};1H${state}${CLEAR_LINE}`);
  };

  /** Shows the server's reports until the end; reconnects to a server that was away. */
  async #follow(): Promise<void> {
    const { signal } = this.#gone;
    while (!signal.aborted) {
      try {
        await this.#read(signal);
      } catch {
        // Reported below.
      }
      if (signal.aborted) return;
      this.#answers = false;
      this.#draw();
      // It only rejects when the signal aborts, and that ends the loop.
      await wait(AGAIN_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { body } = await fetch(`${this.#url}/events`, { signal });
    const events = new EventReader((name, data) => {
      if (name !== this.#kind.name) return;
      this.#view = this.#kind.of(JSON.parse(data));
      this.#answers = true;
      this.#draw();
    });
    const decoder = new TextDecoder();
    for await (const bytes of body ?? []) events.push(decoder.decode(bytes, { stream: true }));
  }
}
