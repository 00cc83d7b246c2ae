import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { type Deviation, knownLocalDeviations } from '../support/gpus/deviations.js';
import {
  type Globals,
  type OpenTarget,
  type Target,
  type TargetName,
  targets,
} from '../support/gpus/targets.js';

/** The subject of a spec: one target, with its own device. */
export interface Subject {
  readonly on: TargetName;
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly device: GPUDevice;
  readonly globals: Globals;
  /** Another GPU of the same host: on Farlight, another session. */
  newGpu(): Promise<GPU>;
  /** Another adapter of the same GPU. */
  newAdapter(): Promise<GPUAdapter>;
  /** Another device, from its own adapter. */
  newDevice(descriptor?: GPUDeviceDescriptor): Promise<GPUDevice>;
  /**
   * Notes a value that the specification leaves open (the words of a message, a limit). Any value is right,
   * but all targets must have the same one.
   */
  observe(what: string, value: unknown): void;
  /** The error that `act` puts into a scope of this kind. */
  scoped(filter: GPUErrorFilter, act: () => unknown): Promise<GPUError | null>;
  /** Runs `act`, which must raise a GPUValidationError; notes its message. */
  invalid(act: () => unknown, device?: GPUDevice): Promise<GPUError>;
  /** Runs `act`, which must raise no validation error; returns its result. */
  valid<T>(act: () => T, device?: GPUDevice): Promise<T>;
  /** The errors that no scope has caught so far. A spec that leaves some fails. */
  uncaptured(): Promise<GPUError[]>;
}

export interface ParityOptions {
  /** Features that the device is requested with. Without them the spec is skipped. */
  features?: GPUFeatureName[];
  /**
   * Local Dawn is known to fail this spec: the specification is the truth, and local Dawn is expected to
   * fail.
   */
  deviation?: Deviation;
}

type Seen = { what: string; value: unknown }[];

const opened = new Map<Target, Promise<OpenTarget>>();

function open(target: Target): Promise<OpenTarget> {
  const already = opened.get(target);
  if (already) return already;
  const opening = target.open();
  opened.set(target, opening);
  return opening;
}

afterAll(async () => {
  // A target that did not open has already failed each spec.
  for (const target of opened.values())
    await target.then(
      ({ close }) => close(),
      () => {},
    );
});

/**
 * Proves a property of WebGPU on every target in turn. The expectations of `body` must hold on each target,
 * and its observations must equal those of the first.
 */
export function parity(
  property: string,
  body: (t: Subject) => Promise<void> | void,
  options: ParityOptions = {},
): void {
  test(property, async ({ skip }) => {
    const failures: unknown[] = [];
    let reference: { on: TargetName; seen: Seen } | undefined;
    for (const target of targets) {
      const known =
        options.deviation && target.name === 'local' ? knownLocalDeviations[options.deviation] : undefined;
      if (known?.shows === 'crash') continue;
      const missing = await lacks(target, options.features ?? []);
      if (missing) skip(`the adapter lacks ${missing}`);

      const seen: Seen = [];
      const failure = await run(target, body, options, seen);
      target.observed?.(seen);
      if (known) {
        if (!failure || !known.shows.test(String(failure))) failures.push(undeviating(options, failure));
        continue;
      }
      if (failure) {
        failures.push(blame(target.name, failure));
        continue;
      }
      if (!reference) {
        reference = { on: target.name, seen };
        continue;
      }
      try {
        expect(seen, `[${target.name}] observes the same as ${reference.on}`).toEqual(reference.seen);
      } catch (difference) {
        failures.push(difference);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures);
  });
}

async function lacks(target: Target, features: GPUFeatureName[]): Promise<GPUFeatureName | undefined> {
  if (features.length === 0) return undefined;
  const adapter = await (await open(target)).gpu.requestAdapter();
  return features.find((feature) => !adapter?.features.has(feature));
}

/** Runs a spec on one target and returns its failure, if any. */
async function run(
  target: Target,
  body: (t: Subject) => Promise<void> | void,
  { features = [] }: ParityOptions,
  seen: Seen,
): Promise<unknown> {
  const { gpu, globals, newGpu } = await open(target);
  const devices: GPUDevice[] = [];
  const newAdapter = async () => {
    const adapter = await gpu.requestAdapter();
    if (!adapter) throw new Error('there is no adapter');
    return adapter;
  };
  const newDevice = async (descriptor?: GPUDeviceDescriptor, adapter?: GPUAdapter) => {
    const device = await (adapter ?? (await newAdapter())).requestDevice(descriptor);
    devices.push(device);
    return device;
  };
  try {
    const adapter = await newAdapter();
    const device = await newDevice({ requiredFeatures: features }, adapter);
    const caught: GPUError[] = [];
    device.addEventListener('uncapturederror', (event) => {
      // Dawn prints errors unless someone prevents that.
      event.preventDefault();
      caught.push((event as GPUUncapturedErrorEvent).error);
    });
    const uncaptured = async () => {
      await Promise.race([device.queue.onSubmittedWorkDone(), device.lost]);
      // An event is a task of its own and may come right after the promise.
      await turn();
      return caught.splice(0);
    };
    const scoped = async (filter: GPUErrorFilter, act: () => unknown, on = device) => {
      on.pushErrorScope(filter);
      let popped: Promise<GPUError | null> | undefined;
      try {
        await act();
      } finally {
        popped = on.popErrorScope();
      }
      return popped;
    };
    const observe = (what: string, value: unknown) => void seen.push({ what, value });
    await body({
      on: target.name,
      gpu,
      globals,
      adapter,
      device,
      newGpu,
      newAdapter,
      newDevice,
      observe,
      scoped,
      async invalid(act, on = device) {
        const error = await scoped('validation', act, on);
        expect(error, 'the error in the validation scope').toBeInstanceOf(globals.GPUValidationError);
        observe('message', error?.message);
        return error as GPUError;
      },
      async valid(act, on = device) {
        let value: ReturnType<typeof act> | undefined;
        const error = await scoped(
          'validation',
          async () => {
            value = await act();
          },
          on,
        );
        expect(error?.message, 'the error in the validation scope').toBeUndefined();
        return value as ReturnType<typeof act>;
      },
      uncaptured,
    });
    expect(
      (await uncaptured()).map((error) => error.message),
      'errors that no scope caught',
    ).toEqual([]);
    return undefined;
  } catch (failure) {
    return failure ?? new Error('the spec threw nothing');
  } finally {
    for (const device of devices) device.destroy();
  }
}

function undeviating({ deviation }: ParityOptions, failure: unknown): unknown {
  if (!failure) return new Error(`[local] conforms now: delete the known deviation "${deviation}"`);
  return blame('local', failure);
}

function blame(target: TargetName, failure: unknown): unknown {
  // A broken link gives the same error to all later specs.
  if (failure instanceof Error && !failure.message.startsWith(`[${target}]`)) {
    const { message } = failure;
    failure.message = `[${target}] ${message}`;
    // The stack begins with the original message.
    if (failure.stack) failure.stack = failure.stack.replace(message, failure.message);
  }
  return failure;
}
