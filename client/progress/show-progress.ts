import { SPAN, spanMask } from '../../proto/activity.js';
import { OPERATIONS } from '../../proto/gen/operations.js';
import type { SessionObserver } from '../session/observer.js';
import type { Session } from '../session/session.js';
import { Progress } from './progress.js';
import { StatusLine, type Terminal } from './status-line.js';

/** How often it is looked how far things are, in milliseconds. */
const LOOK_MS = 100;

const PIPELINES: ReadonlySet<string | undefined> = new Set(['GPUComputePipeline', 'GPURenderPipeline']);

/** Shows on the terminal of stderr what a session takes long for: pipelines that are compiled, and uploads. */
export class ShownProgress {
  readonly #progress = new Progress();
  #line: StatusLine | undefined;
  #session: Session | undefined;
  #asked = 0;
  #done = 0;
  /** The host tells of what it has compiled; otherwise nothing is said of that. */
  #told = false;

  readonly observer: SessionObserver = {
    recorded: ({ creates }) => {
      this.#line ??= this.#begin();
      if (PIPELINES.has(creates)) this.#asked += 1;
    },
    activity: ({ spans }) => {
      for (const { kind, name } of spans) if (kind === SPAN.compiled && PIPELINES.has(name)) this.#done += 1;
    },
    welcomed: ({ activity }) => {
      if (activity !== true) return;
      this.#told = true;
      this.#session?.command(OPERATIONS.FarlightActivity.watch, [spanMask(SPAN.compiled)]);
    },
  };

  attach(session: Session): void {
    this.#session = session;
  }

  /** With the first command: a program that uses no GPU has its streams as they are. */
  #begin(): StatusLine {
    const outputs = [process.stdout, process.stderr].filter(({ isTTY }) => isTTY);
    const line = new StatusLine(process.stderr as unknown as Terminal, outputs as unknown as Terminal[]);
    setInterval(() => this.#look(line), LOOK_MS).unref();
    process.on('exit', () => line.clear());
    return line;
  }

  #look(line: StatusLine): void {
    if (!this.#session) return;
    const { given, taken } = this.#session.upload;
    const state = {
      pipelinesAsked: this.#told ? this.#asked : 0,
      pipelinesDone: this.#told ? this.#done : 0,
      bytesGiven: given,
      bytesTaken: taken,
    };
    line.show(this.#progress.at(performance.now(), state));
  }
}
