import { createHash } from 'node:crypto';

/** The largest difference between two lists of numbers. */
export function largestDifference(values, others) {
  if (values.length !== others.length) throw new Error(`${values.length} values beside ${others.length}`);
  return values.reduce((most, value, at) => Math.max(most, Math.abs(value - others[at])), 0);
}

/** Prints the GPU's values and how far they are from the CPU's. Beyond `tolerance` the program fails. */
export function reportDifference(gpu, cpu, tolerance) {
  const error = largestDifference(gpu, cpu);
  console.log(`Largest difference from the CPU: ${error.toExponential(1)}`);
  console.log(`Result: sha256 ${createHash('sha256').update(gpu).digest('hex')}`);
  if (error < tolerance) return;
  console.error(`The difference should be below ${tolerance}.`);
  process.exitCode = 1;
}
