const FILTERS: readonly GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal'];

/**
 * Runs `act` in error scopes of its own, which open and close in this turn: no command of the program comes between.
 * `error` resolves to the first error of `act`, or null. It rejects when the device is lost.
 */
export function scoped<T>(device: GPUDevice, act: () => T): { result: T; error: Promise<GPUError | null> } {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  let error: Promise<GPUError | null>;
  let result: T;
  try {
    result = act();
  } finally {
    const popped = Promise.all(FILTERS.map(() => device.popErrorScope()));
    error = popped.then((errors) => errors.find((each) => each !== null) ?? null);
    // The caller awaits `error` later. After an exception of `act` nobody needs it.
    error.catch(() => {});
  }
  return { result, error };
}

/** As `scoped`. `done` rejects with the first error of `act`, or when the device is lost. */
export function checked<T>(device: GPUDevice, act: () => T): { result: T; done: Promise<void> } {
  const { result, error } = scoped(device, act);
  const done = error.then((found) => {
    if (found) throw new Error(found.message);
  });
  // The caller awaits `done`, perhaps after other work.
  done.catch(() => {});
  return { result, done };
}
