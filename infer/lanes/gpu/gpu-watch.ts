import type { ClientResource } from '../../../client/session/client-resource.js';
import type { Session } from '../../../client/session/session.js';
import { OPERATIONS } from '../../../proto/gen/operations.js';
import { SPAN, spanMask } from '../../../proto/session/spans.js';
import { resourceOf } from '../../../proto/webidl/resource.js';
import type { GpuEvent } from './gpu-times.js';

const { watch, readClock } = OPERATIONS.FarlightActivity;

/** Hears from the host when its GPU works for a lane. Marks between the lane's runs tell which work belongs to which run. */
export class GpuWatch {
  readonly #session: Session;
  #isOn = false;

  /** `device` is the lane's device. The host has accepted its session. */
  constructor(device: GPUDevice, tell: (event: GpuEvent) => void) {
    this.#session = (resourceOf(device) as ClientResource).session;
    // A session that writes a trace watches more than this, and a session has one watch.
    if (this.#session.welcome?.activity !== true || this.#session.observer?.activity) return;
    this.#isOn = true;
    this.#session.onActivity = ({ spans }) => {
      for (const { kind, number, start, end } of spans) {
        tell(kind === SPAN.clock ? { mark: number, at: start } : { from: start, to: end });
      }
    };
    this.#session.command(watch, [spanMask(SPAN.gpu, SPAN.clock)]);
  }

  /** Has the host report this mark, after the work that ended before it. */
  mark(number: number): void {
    if (this.#isOn) this.#session.command(readClock, [number]);
  }

  /** Whether the host reports its GPU's work. */
  get isOn(): boolean {
    return this.#isOn;
  }
}
