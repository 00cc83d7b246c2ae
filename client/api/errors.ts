import { native } from '../../link/machine/globals.js';
import type { FarlightErrorType, FarlightGPUError } from '../../proto/gen/operations.js';
import {
  requireArguments,
  required,
  toDictionary,
  toDOMString,
  toEnum,
} from '../../proto/webidl/converters.js';
import type { Rejection } from '../../proto/wire/reply.js';
import { defineInterface, INTERNAL, illegal } from './interface.js';

/** Whether `new GPUError` made this value: an object with the same prototype is not enough. */
let isGPUError: (value: unknown) => value is GPUError;

/** https://gpuweb.github.io/gpuweb/#gpuerror */
export class GPUError {
  static {
    isGPUError = (value): value is GPUError =>
      typeof value === 'object' && value !== null && #message in value;
  }

  readonly #message: string;

  constructor(token?: unknown, message?: string) {
    if (token !== INTERNAL) illegal();
    this.#message = message ?? '';
  }

  get message(): string {
    return this.#message;
  }
}

export class GPUValidationError extends GPUError {
  constructor(...args: [message: string]) {
    super(INTERNAL, convertMessage(args, 'GPUValidationError'));
  }
}

export class GPUOutOfMemoryError extends GPUError {
  constructor(...args: [message: string]) {
    super(INTERNAL, convertMessage(args, 'GPUOutOfMemoryError'));
  }
}

export class GPUInternalError extends GPUError {
  constructor(...args: [message: string]) {
    super(INTERNAL, convertMessage(args, 'GPUInternalError'));
  }
}

/** https://gpuweb.github.io/gpuweb/#gpupipelineerror */
export class GPUPipelineError extends DOMException {
  readonly #reason: GPUPipelineErrorReason;

  constructor(message: string | undefined, options: { reason: GPUPipelineErrorReason }) {
    super(message === undefined ? '' : toDOMString(message, 'GPUPipelineError: message'), 'GPUPipelineError');
    const { reason } = toDictionary(options, 'GPUPipelineErrorInit');
    const where = 'GPUPipelineErrorInit.reason';
    this.#reason = toEnum(
      required(reason, where),
      ['validation', 'internal'],
      'GPUPipelineErrorReason',
      where,
    );
  }

  get reason(): GPUPipelineErrorReason {
    return this.#reason;
  }
}

interface UncapturedErrorInit {
  error: GPUError;
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}

/** https://gpuweb.github.io/gpuweb/#gpuuncapturederrorevent */
export class GPUUncapturedErrorEvent extends Event {
  readonly #error: GPUError;

  constructor(type: string, init: UncapturedErrorInit) {
    super(type, init);
    const { error } = toDictionary(init, 'GPUUncapturedErrorEventInit');
    if (!isGPUError(error)) {
      throw new TypeError('GPUUncapturedErrorEventInit.error is required and must be a GPUError');
    }
    this.#error = error;
  }

  get error(): GPUError {
    return this.#error;
  }
}

defineInterface('GPUError', GPUError);
defineInterface('GPUValidationError', GPUValidationError);
defineInterface('GPUOutOfMemoryError', GPUOutOfMemoryError);
defineInterface('GPUInternalError', GPUInternalError);
defineInterface('GPUPipelineError', GPUPipelineError);
defineInterface('GPUUncapturedErrorEvent', GPUUncapturedErrorEvent);

const BY_TYPE: Readonly<Record<FarlightErrorType, new (message: string) => GPUError>> = {
  validation: GPUValidationError,
  'out-of-memory': GPUOutOfMemoryError,
  internal: GPUInternalError,
};

/** Makes the GPUError that the host describes. */
export function asGPUError({ type, message }: FarlightGPUError<never>): GPUError {
  return new BY_TYPE[type](message);
}

/** Makes the exception that the host describes. */
export function asException({ name, message, reason }: Rejection): Error {
  if (name === 'GPUPipelineError') {
    return new GPUPipelineError(message, { reason: reason === 'internal' ? 'internal' : 'validation' });
  }
  if (name === 'TypeError') return new TypeError(message);
  if (name === 'RangeError') return new RangeError(message);
  return new native.DOMException(message, name);
}

function convertMessage(args: unknown[], name: string): string {
  requireArguments(args.length, 1, name);
  return toDOMString(args[0], `${name}: message`);
}
