import { defineInterface, INTERNAL, illegal } from './interface.js';

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
