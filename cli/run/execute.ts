import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { exitByHangUp } from '../stop-signal.js';
import { cut } from '../style.js';

/**
 * How a program ended: its exit code as a shell gives it; `hasRun` if it started, and `byItself` if also no signal ended
 * it.
 */
export interface Ended {
  code: number;
  hasRun: boolean;
  byItself: boolean;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
type Passed = (typeof SIGNALS)[number];

/** Passes the signals that this process gets to the program. One that comes before the program is there is kept. */
export class PassedSignals {
  #early: Passed | undefined;
  #child: ChildProcess | undefined;

  constructor() {
    for (const signal of SIGNALS) process.on(signal, () => this.#take(signal));
  }

  /** The signal that came before there was a program, which then need not be started. */
  get early(): Passed | undefined {
    return this.#early;
  }

  passTo(child: ChildProcess): void {
    this.#child = child;
  }

  #take(signal: Passed): void {
    if (signal === 'SIGHUP') exitByHangUp();
    if (!this.#child) {
      // A second signal: the person does not want to wait.
      if (this.#early) process.exit(128 + constants.signals[signal]);
      this.#early = signal;
      return;
    }
    // A terminal sends Ctrl-C to every process of the group, so the program gets it anyway.
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    this.#child.kill(signal);
  }
}

/** Runs the program with our stdin, stdout and stderr. */
export function execute(
  [file = '', ...args]: string[],
  env: NodeJS.ProcessEnv,
  signals: PassedSignals,
): Promise<Ended> {
  const without = (code: number): Ended => ({ code, hasRun: false, byItself: false });
  return new Promise((resolve) => {
    if (signals.early) return resolve(without(128 + constants.signals[signals.early]));
    const failed = ({ code }: NodeJS.ErrnoException) => {
      const notFound = code === 'ENOENT';
      const why = notFound ? `command not found: ${file}` : `${cut(file, 200)} cannot be run (${code})`;
      process.stderr.write(`farlight: ${why}\n`);
      resolve(without(notFound ? 127 : 126));
    };
    let child: ChildProcess;
    try {
      child = spawn(file, args, { stdio: 'inherit', env });
    } catch (error) {
      // Node throws some of the system's errors, as for arguments that are too long, and tells the others later.
      return failed(error as NodeJS.ErrnoException);
    }
    signals.passTo(child);
    child.on('error', failed);
    child.on('exit', (code, signal) =>
      resolve({
        code: signal ? 128 + constants.signals[signal] : (code ?? 1),
        hasRun: true,
        byItself: !signal,
      }),
    );
  });
}
