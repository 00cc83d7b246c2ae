/** The job of a program's command, on its node. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, fstatSync, openSync, writeSync } from 'node:fs';
import { constants, hostname } from 'node:os';
import { join } from 'node:path';
import type { RenewReply, RenewRequest } from '../../link/grpc/host-service.js';
import { monotonicNow, setInterval, setTimeout } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import { codeOf, FarlightError, messageOf } from '../../proto/errors.js';
import { HostLease } from '../allocation/host-lease.js';
import { answerCall } from '../files/file-calls.js';
import { reportLine } from '../host/report.js';
import { writeEnd } from './command-end.js';

export interface RunnerOptions {
  readonly term: number;
  readonly exchange: string;
  readonly folder: string;
  /** Times in seconds. */
  readonly lease: number;
  readonly first: number;
  /** The engine signals this process alone, and not those that it has started. */
  readonly forward?: boolean;
}

/** How often to look for calls, in milliseconds. */
const LOOK_MS = 50;
/** How long a folder that another machine has made may take to be seen here, in milliseconds. */
const SEEN_MS = 10_000;
/** How long the command may take to end after SIGTERM, in milliseconds. */
const GRACE_MS = 4000;

/**
 * Runs the command from the program's first renewal on, and ends it where the program renews no more. The renewals come
 * through files, so before the command starts each side has read a file of the other.
 *
 * @throws FarlightError BAD_OPTION where this node does not see the program's files (rejects).
 */
export async function runCommandJob(command: readonly string[], options: RunnerOptions): Promise<void> {
  const { term, exchange, folder } = options;
  await seen(exchange);
  const lease = new HostLease(
    { lease: options.lease * 1000, first: options.first * 1000, idle: Number.POSITIVE_INFINITY },
    monotonicNow(),
  );
  let child: ChildProcess | undefined;
  let isEnding = false;
  const end = (why: string) => {
    if (isEnding) return;
    isEnding = true;
    writeSync(2, `farlight: ${why}\n`);
    if (!child) process.exit(1);
    // This process gets it too, and is ending already.
    process.kill(0, 'SIGTERM');
    setTimeout(() => process.kill(0, 'SIGKILL'), GRACE_MS);
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (options.forward || !child) end('it was told to end');
      isEnding = true;
    });
  const renew = (content: unknown): RenewReply => {
    const { challenge, holder, release } = content as RenewRequest;
    const now = monotonicNow();
    if (challenge > 0) lease.renew(challenge, holder, now);
    if (release) lease.release(holder, now);
    const leaseMs = options.lease * 1000;
    return { challenge: lease.challenge(now), leaseMs, valid: lease.isValid(now), sessions: 1 };
  };
  let answered = 0;
  setInterval(() => {
    try {
      answered = answerCall(exchange, answered, renew);
    } catch {
      // The file system does not answer now. If it stays so, the lease lapses.
    }
    const why = lease.reasonToEnd(0, monotonicNow());
    if (why !== undefined) end(why);
    else if (!child && !isEnding && lease.isValid(monotonicNow()))
      child = start(command, { exchange, folder });
  }, LOOK_MS);
  writeSync(1, reportLine({ term, ready: { folder: exchange } }));
}

/** Resolves when this node sees the folder. */
async function seen(exchange: string): Promise<void> {
  const deadline = monotonicNow() + SEEN_MS;
  while (!existsSync(exchange)) {
    if (monotonicNow() > deadline) {
      throw new FarlightError(
        'BAD_OPTION',
        `the node ${hostname()} does not see ${exchange}, which the program has made; name in the pool's file a mount that both have at this path`,
      );
    }
    await pause(LOOK_MS);
  }
}

/** Starts the command. Its end is this process's end, with the same code. */
function start(
  command: readonly string[],
  { exchange, folder }: { exchange: string; folder: string },
): ChildProcess {
  const [file = '', ...args] = command;
  const stdout = openSync(join(exchange, 'stdout'), 'a', 0o600);
  const stderr = openSync(join(exchange, 'stderr'), 'a', 0o600);
  const exit = (code: number): void => {
    try {
      writeEnd(exchange, { code, stdout: fstatSync(stdout).size, stderr: fstatSync(stderr).size });
    } catch (error) {
      writeSync(
        2,
        `farlight: the command ended with code ${code}, which cannot be written: ${messageOf(error)}\n`,
      );
    }
    process.exit(code);
  };
  const fail = (code: number, why: string) => {
    writeSync(stderr, `farlight: ${why}\n`);
    exit(code);
  };
  if (!existsSync(folder))
    fail(126, `the node ${hostname()} has no folder ${folder}; replicate it, or run the command elsewhere`);
  const child = spawn(file, args, { cwd: folder, stdio: ['ignore', stdout, stderr] });
  child.on('error', (error) => {
    const isMissing = codeOf(error) === 'ENOENT';
    fail(
      isMissing ? 127 : 126,
      isMissing ? `command not found: ${file}` : `${file} cannot be run (${codeOf(error)})`,
    );
  });
  child.on('exit', (code, signal) => exit(signal ? 128 + constants.signals[signal] : (code ?? 1)));
  return child;
}
