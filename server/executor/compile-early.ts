import { setFlagsFromString } from 'node:v8';

/** Bytes of bytecode that a function runs through between two looks at whether to optimise it. V8's own are 132 KiB. */
const BUDGET = 50_000;

/**
 * Has V8 optimise what runs often after less than half of the repetitions that it waits for by itself. An executor
 * does the same few things all its life, and a program waits for each of them. With much less than this it
 * compiles what is not worth it, and two cores feel that.
 */
export function compileEarly(): void {
  setFlagsFromString(`--interrupt-budget=${BUDGET}`);
}
