const FILTERS: readonly GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal'];

/**
 * Runs `act` in error scopes of its own, which open and close in this turn: no command of the program comes between.
 * `done` rejects with the first error of `act`, or when the device is lost.
 */
export function checked<T>(device: GPUDevice, act: () => T): { result: T; done: Promise<void> } {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  let popped: Promise<(GPUError | null)[]>;
  let result: T;
  try {
    result = act();
  } finally {
    popped = Promise.all(FILTERS.map(() => device.popErrorScope()));
    // `done` has the errors. After an exception nobody needs them.
    popped.catch(() => {});
  }
  const done = popped.then((errors) => {
    const error = errors.find((each) => each !== null);
    if (error) throw new Error(error.message);
  });
  done.catch(() => {});
  return { result, done };
}
