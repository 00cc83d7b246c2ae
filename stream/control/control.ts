import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { join, relative } from 'node:path';
import { fitsUnixSocket } from '../../link/address/unix-path.js';
import { codeOf, FarlightError, messageOf } from '../../proto/errors.js';
import type { UpgradePlan, UpgradeWords } from '../definition/upgrade-plan.js';
import type { ApplicationStatus } from '../run/status.js';

/** The requests of the owner's commands. */
export interface Controls {
  status(): ApplicationStatus;
  /** Plans an upgrade, and carries it out unless it is only to be shown. @throws Error that says why not (rejects) */
  upgrade(upgrade: UpgradeRequest, signal: AbortSignal): Promise<UpgradeAnswer>;
}

export interface UpgradeRequest extends UpgradeWords {
  /** The application's file, absolute. Undefined: the version before the one that runs. */
  readonly file: string | undefined;
  readonly isPlanOnly: boolean;
}

export interface UpgradeAnswer {
  readonly plan: UpgradePlan;
  readonly epoch: number;
}

const MOST_BYTES = 1 << 20;
const REQUEST_MS = 10_000;
/** How long the status of an application may take, in milliseconds. */
const STATUS_MS = 10_000;

/** The socket of an application that runs with its state in this folder. @throws FarlightError BAD_OPTION */
function socketIn(folder: string): string {
  const socket = join(folder, 'control.sock');
  // The path from here may be shorter.
  const near = relative('', socket);
  const path = near.length < socket.length ? near : socket;
  if (!fitsUnixSocket(path))
    throw new FarlightError(
      'BAD_OPTION',
      `the path ${folder} is too long for a socket in it; name a shorter one with --state`,
    );
  return path;
}

/**
 * Lets the commands of this user reach the application, over HTTP on a socket in its folder, which only this user can open.
 *
 * @throws FarlightError BAD_OPTION (rejects)
 */
export async function serveControls(folder: string, controls: Controls): Promise<{ close(): Promise<void> }> {
  const path = socketIn(folder);
  const server = createServer((asked, answer) => void answerTo(asked, answer, controls));
  server.requestTimeout = REQUEST_MS;
  // Whoever holds the folder's lock owns the socket: one of before is left by a crash.
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return { close: () => closed(server, path) };
}

/** Asks a running application. @throws FarlightError UNREACHABLE, or with the application's own sentence (rejects) */
export async function askStatus(folder: string): Promise<ApplicationStatus> {
  return (await ask(
    folder,
    'GET',
    '/status',
    undefined,
    AbortSignal.timeout(STATUS_MS),
  )) as ApplicationStatus;
}

/** As `Controls.upgrade`. Where the signal aborts, the upgrade is given up. @throws FarlightError (rejects) */
export async function askUpgrade(
  folder: string,
  asked: UpgradeRequest,
  signal?: AbortSignal,
): Promise<UpgradeAnswer> {
  return (await ask(folder, 'POST', '/upgrade', asked, signal)) as UpgradeAnswer;
}

async function answerTo(asked: IncomingMessage, answer: ServerResponse, controls: Controls): Promise<void> {
  const give = (status: number, body: unknown) => {
    answer.writeHead(status, { 'content-type': 'application/json' });
    answer.end(JSON.stringify(body));
  };
  try {
    if (asked.method === 'GET' && asked.url === '/status') return give(200, controls.status());
    if (asked.method !== 'POST' || asked.url !== '/upgrade')
      return give(404, { error: 'there is no such request' });
    const body = JSON.parse(await bodyOf(asked)) as UpgradeRequest;
    const gone = new AbortController();
    answer.once('close', () => {
      if (!answer.writableEnded) gone.abort(new Error('the one who asked for the upgrade has gone'));
    });
    give(200, await controls.upgrade(body, gone.signal));
  } catch (error) {
    give(400, { error: messageOf(error) });
  }
}

async function bodyOf(asked: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of asked as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MOST_BYTES) throw new Error('the request is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function ask(
  folder: string,
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown) => {
      if (signal?.aborted) return reject(givenUp(folder, signal.reason));
      const isNone = ['ENOENT', 'ECONNREFUSED'].includes(String(codeOf(error)));
      const sentence = isNone
        ? `no application runs with its state in ${folder}; start it with farlight stream run, or name its folder with --state`
        : `the application in ${folder} does not answer: ${messageOf(error)}`;
      reject(new FarlightError('UNREACHABLE', sentence, { cause: error }));
    };
    const asked = request(
      {
        socketPath: socketIn(folder),
        method,
        path,
        ...(signal && { signal }),
        headers: { 'content-type': 'application/json' },
      },
      (answer) => {
        bodyOf(answer)
          .then((text) => {
            const said = JSON.parse(text) as { error?: string };
            if (answer.statusCode === 200) resolve(said);
            else reject(new FarlightError('BAD_OPTION', said.error ?? text));
          })
          .catch(failed);
      },
    );
    asked.on('error', failed);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function givenUp(folder: string, reason: unknown): FarlightError {
  const isLate = reason instanceof Error && reason.name === 'TimeoutError';
  return isLate
    ? new FarlightError(
        'UNREACHABLE',
        `the application in ${folder} does not answer within ${STATUS_MS / 1000} seconds; end it, and start it again with farlight stream run`,
      )
    : new FarlightError(
        'SHUTTING_DOWN',
        'the upgrade is given up, if it was not committed just before; farlight stream status shows the version that runs',
      );
}

function closed(server: Server, path: string): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      rmSync(path, { force: true });
      resolve();
    });
    server.closeAllConnections();
  });
}
