import { setTimeout as wait } from 'node:timers/promises';
import { Command } from 'commander';
import { deferred } from '../../link/machine/deferred.js';
import { DEFAULT_DASHBOARD, parsePageAddress } from '../../page/page-server.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { harmlessJson } from '../../proto/harmless.js';
import type { HostView } from '../../server/observatory/host-view.js';
import type { HostEvent } from '../../server/page/dashboard.js';
import { styleOf } from '../style.js';
import { EventReader } from './event-reader.js';
import { topLines } from './top-view.js';

interface TopOptions {
  dashboard: string;
  json?: boolean;
}

/** How long to wait before a lost host is asked again, in milliseconds. */
const AGAIN_MS = 1000;

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export function topCommand(): Command {
  return new Command('top')
    .description('Show live what the host on this machine does; q quits.')
    .option('--dashboard <address>', 'the address of the dashboard', DEFAULT_DASHBOARD)
    .option('--json', 'print the current state as JSON, once')
    .allowExcessArguments(false)
    .action(top);
}

async function top({ dashboard, json }: TopOptions): Promise<void> {
  const { host, port } = parsePageAddress(dashboard);
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const view = await readHost(url);
  if (json) {
    process.stdout.write(`${harmlessJson(JSON.stringify(view, null, 2))}\n`);
  } else if (process.stdout.isTTY && process.stdin.isTTY) {
    await new Screen(url, view).shown;
  } else {
    const unbounded = { columns: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY };
    process.stdout.write(`${topLines(view, unbounded, styleOf(process.stdout)).join('\n')}\n`);
  }
}

/** The state of the host now. @throws FarlightError UNREACHABLE if no host answers. */
async function readHost(url: string): Promise<HostView> {
  try {
    const response = await fetch(`${url}/host.json`);
    if (!response.ok) throw new Error(`status ${response.status}`);
    const view = (await response.json()) as Partial<HostView>;
    if (!Array.isArray(view.sessions) || !view.totals) throw new Error('no Farlight host');
    return view as HostView;
  } catch (cause) {
    throw new FarlightError(
      'UNREACHABLE',
      `there is no dashboard of a Farlight host at ${url} (${reasonOf(cause)}); start one here with farlight serve, or name the address that it printed as its dashboard with --dashboard 127.0.0.1:PORT`,
      { cause },
    );
  }
}

function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string } };
  return cause?.code ?? messageOf(error);
}

/** The terminal while the host is shown on it. Afterwards it looks as it did before. */
class Screen {
  readonly #left = deferred<void>();
  readonly #url: string;
  readonly #gone = new AbortController();
  #view: HostView;
  #answers = true;

  constructor(url: string, view: HostView) {
    this.#url = url;
    this.#view = view;
    const { stdin, stdout } = process;
    stdout.write(ENTER);
    stdin.setRawMode(true);
    stdin.on('data', this.#onKey);
    stdout.on('resize', this.#draw);
    process.on('exit', this.#restore);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.#end);
    this.#draw();
    void this.#follow();
  }

  /** Resolves when the host is no longer shown. */
  get shown(): Promise<void> {
    return this.#left.promise;
  }

  readonly #onKey = (keys: Buffer) => {
    // In raw mode ctrl-C is an ordinary character.
    if (['q', 'Q', '\u0003'].some((key) => keys.includes(key))) this.#end();
  };

  readonly #end = () => {
    this.#gone.abort();
    const { stdin, stdout } = process;
    stdin.off('data', this.#onKey);
    stdin.pause();
    stdout.off('resize', this.#draw);
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
    const lines = topLines(this.#view, size, style);
    const state = this.#answers
      ? style('dim', 'q ends')
      : style('red', 'the host does not answer, trying again');
    const text = lines.map((line) => `${line}${CLEAR_LINE}\r\n`).join('');
    stdout.write(`${HOME}${text}${CLEAR_BELOW}\x1b[${stdout.rows};1H${state}${CLEAR_LINE}`);
  };

  /** Shows the host's reports until the end; reconnects to a host that was away. */
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
      await wait(AGAIN_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { body } = await fetch(`${this.#url}/events`, { signal });
    const events = new EventReader((name, data) => {
      if (name !== 'host') return;
      this.#view = (JSON.parse(data) as HostEvent).host;
      this.#answers = true;
      this.#draw();
    });
    const decoder = new TextDecoder();
    for await (const bytes of body ?? []) events.push(decoder.decode(bytes, { stream: true }));
  }
}
