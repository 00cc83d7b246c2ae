import { deferred } from '../../../link/machine/deferred.js';
import type { FarlightGPUError } from '../../../proto/gen/operations.js';
import { ClientResource } from '../../session/client-resource.js';
import type { Session } from '../../session/session.js';
import { defineInterface, INTERNAL, illegal } from '../interface.js';
import { IterableWeakSet } from '../iterable-weak-set.js';

/** https://gpuweb.github.io/gpuweb/#gpudevicelostinfo */
export class GPUDeviceLostInfo {
  readonly #reason: string;
  readonly #message: string;

  constructor(token?: unknown, reason?: string, message?: string) {
    if (token !== INTERNAL) illegal();
    this.#reason = reason ?? 'unknown';
    this.#message = message ?? '';
  }

  get reason(): string {
    return this.#reason;
  }

  get message(): string {
    return this.#message;
  }
}

defineInterface('GPUDeviceLostInfo', GPUDeviceLostInfo);

/** A buffer that is mapped, or about to be, as its device sees it. */
interface Mapped {
  /** Ends the mapping on this side: the program's ranges become empty, and a pending promise rejects. */
  release(): void;
}

/**
 * The client's state of a device.
 *
 * States: *alive*; *destroying* (destroy was called, and the process waits for the host's reply); *lost*
 * (`lost` has resolved). alive -> destroying -> lost, or alive -> lost.
 */
export class DeviceResource extends ClientResource {
  /** The features that the device was requested with, and the features that these imply. */
  features: ReadonlySet<string> = new Set();
  readonly mapped = new IterableWeakSet<ClientResource & Mapped>();
  /** Tells the wrapper, which has the listeners. */
  onUncapturedError: (error: FarlightGPUError<never>) => void = () => {};
  readonly #lost = deferred<GPUDeviceLostInfo>();
  #state: 'alive' | 'destroying' | 'lost' = 'alive';

  constructor(session: Session, label: string) {
    super(session, 'GPUDevice', undefined, label);
  }

  /** Always this promise: one derived from it would settle after replies that came later. */
  get lost(): Promise<GPUDeviceLostInfo> {
    return this.#lost.promise;
  }

  destroy(): void {
    for (const buffer of this.mapped.members()) buffer.release();
    if (this.#state !== 'alive') return;
    this.#state = 'destroying';
    // A program that ends right after destroy may still be waiting for `lost`.
    if (this.session.ended) {
      this.onLost('destroyed', 'The device was destroyed.');
    } else {
      this.session.hold();
      this.session.devices.keep(this);
    }
  }

  onLost(reason: string, message: string): void {
    if (this.#state === 'lost') return;
    const destroyed = this.#state === 'destroying';
    if (destroyed && !this.session.ended) this.session.unhold();
    this.#state = 'lost';
    this.session.lost(this);
    this.#lost.resolve(new GPUDeviceLostInfo(INTERNAL, destroyed ? 'destroyed' : reason, message));
  }
}
