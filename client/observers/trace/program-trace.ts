import { closeSync, writeSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { setInterval, steadyTime, timeOrigin, wallClock } from '../../../link/machine/clock.js';
import { packageVersion } from '../../../link/machine/package-version.js';
import { fileProblem, openOutput } from '../output-file.js';
import { ProgramTracks } from './program-tracks.js';
import { SessionTrace } from './session-trace.js';
import { TraceFile } from './trace-file.js';
import { Tracks } from './tracks.js';

/** How often waiting bytes are written, in milliseconds: a program that is killed loses no more than this. */
const FLUSH_MS = 250;
/** Each session of a program has two track groups, after that of the program. */
const PROGRAM_PID = 1;
const GROUPS = 2;

const traces = new Map<string, ProgramTrace>();

/**
 * The trace of this program at `path`. The file is made when the first session opens.
 *
 * @param shared Other programs may be asked for the same file: if it exists, the name of this one gets the
 *   process's id.
 */
export function programTrace(path: string, shared: boolean): ProgramTrace {
  const absolute = resolve(path);
  let trace = traces.get(absolute);
  if (!trace) {
    trace = new ProgramTrace(absolute, shared);
    traces.set(absolute, trace);
  }
  return trace;
}

/** One file, and the sessions of this program that are drawn in it. */
export class ProgramTrace {
  readonly #path: string;
  readonly #shared: boolean;
  readonly #sessions: SessionTrace[] = [];
  #opened: { file: TraceFile; tracks: Tracks; program: ProgramTracks } | undefined;

  constructor(path: string, shared: boolean) {
    this.#path = path;
    this.#shared = shared;
  }

  /**
   * Draws another session. If no host accepted the last one, this one takes its place: a program may ask
   * again and again until its host is there.
   *
   * @throws FarlightError BAD_OPTION if the file cannot be made.
   */
  session(): SessionTrace {
    this.#opened ??= this.#open();
    const { tracks, program } = this.#opened;
    if (this.#sessions.at(-1)?.isVain) this.#sessions.pop();
    const index = this.#sessions.length;
    const wirePid = PROGRAM_PID + 1 + index * GROUPS;
    const title = index === 0 ? '' : ` of session ${index + 1}`;
    const session = new SessionTrace({
      tracks,
      program,
      wirePid,
      hostPid: wirePid + 1,
      title,
      now: steadyTime,
    });
    this.#sessions.push(session);
    return session;
  }

  #open() {
    const descriptor = openOutput({
      path: this.#path,
      suffix: '.json',
      what: 'the trace',
      shared: this.#shared,
      token: 'trace',
      number: 1,
    });
    let lost = false;
    const startedAt = new Date(wallClock()).toISOString();
    const name = basename(process.argv[1] ?? 'node');
    const file = new TraceFile({
      sink: {
        write(bytes, position) {
          if (lost) return;
          try {
            writeSync(descriptor, bytes, 0, bytes.length, position);
          } catch (error) {
            // A full disk must not end the program that is traced.
            lost = true;
            process.stderr.write(`farlight: the trace ends here: ${fileProblem(error)}\n`);
          }
        },
      },
      about: () => ({
        program: name,
        farlight: packageVersion(),
        startedAt,
        waitsLeftOut: program.leftOut,
        sessions: this.#sessions.map(({ about }) => about),
      }),
    });
    // Everything that is drawn happened after the process began.
    const tracks = new Tracks(file, timeOrigin);
    const program = new ProgramTracks(tracks, PROGRAM_PID, `${name} (process ${process.pid})`);
    // The file is valid from its first moment on.
    file.flush();
    setInterval(() => file.flush(), FLUSH_MS).unref();
    process.on('exit', () => {
      for (const session of this.#sessions) session.finish();
      file.flush();
      closeSync(descriptor);
      lost = true;
    });
    return { file, tracks, program };
  }
}
