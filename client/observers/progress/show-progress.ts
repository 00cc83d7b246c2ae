import { monotonicNow, setInterval } from '../../../link/machine/clock.js';
import { OPERATIONS } from '../../../proto/gen/operations.js';
import { SPAN, spanMask } from '../../../proto/session/spans.js';
import type { SessionObserver } from '../../session/observer.js';
import type { Session } from '../../session/session.js';
import { Progress, type SessionProgress } from './progress.js';
import { StatusLine, type Terminal } from './status-line.js';

/** How often the progress is checked, in milliseconds. */
const LOOK_MS = 100;

const PIPELINES: ReadonlySet<string | undefined> = new Set(['GPUComputePipeline', 'GPURenderPipeline']);

/** The sessions of this program. Their progress is shown together. */
const sessions = new Set<ShownProgress>();
let begun = false;

/** Shows the slow parts of a session on stderr's terminal: compiling pipelines, and uploads. */
export class ShownProgress {
  #session: Session | undefined;
  #asked = 0;
  #done = 0;
  /** The host tells which pipelines it has compiled. Until it does, nothing is shown of pipelines. */
  #told = false;

  readonly observer: SessionObserver = {
    recorded: ({ creates }) => {
      if (!begun) begin();
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
    sessions.add(this);
  }

  /** The progress now; undefined if the session has ended. */
  get state(): SessionProgress | undefined {
    if (!this.#session || this.#session.ended) return undefined;
    const { given, taken } = this.#session.upload;
    return {
      pipelinesAsked: this.#told ? this.#asked : 0,
      pipelinesDone: this.#told ? this.#done : 0,
      bytesGiven: given,
      bytesTaken: taken,
    };
  }
}

/** Begins with the first command: a program without a GPU keeps its streams unchanged. */
function begin(): void {
  begun = true;
  const progress = new Progress();
  const outputs = [process.stdout, process.stderr].filter(({ isTTY }) => isTTY);
  const line = new StatusLine(process.stderr as unknown as Terminal, outputs as unknown as Terminal[]);
  setInterval(() => line.show(progress.at(monotonicNow(), total())), LOOK_MS).unref();
  process.on('exit', () => line.clear());
}

function total(): SessionProgress {
  const sum = { pipelinesAsked: 0, pipelinesDone: 0, bytesGiven: 0, bytesTaken: 0 };
  for (const session of sessions) {
    const { state } = session;
    if (!state) sessions.delete(session);
    else for (const key of Object.keys(sum) as (keyof SessionProgress)[]) sum[key] += state[key];
  }
  return sum;
}
