import { FarlightError } from '../proto/errors.js';

/** Options of `create` that pages and Node share. */
export interface SessionSwitches {
  /** 'off' sends each command in a message of its own: for debugging and for comparison. */
  batch?: 'on' | 'off' | undefined;
  /**
   * 'off' sends every command in full, and waits until the host has executed it before it sends the next one.
   */
  reuse?: 'on' | 'off' | undefined;
  /** 'off' asks the host for nothing before the program does. */
  ahead?: 'on' | 'off' | undefined;
}

/** An option that is 'on' unless it is set. @throws FarlightError BAD_OPTION */
export function onOrOff(name: keyof SessionSwitches, value: string | undefined): 'on' | 'off' {
  if (value === undefined || value === '') return 'on';
  if (value === 'on' || value === 'off') return value;
  throw new FarlightError('BAD_OPTION', `The option ${name} is 'on' or 'off', not '${value}'.`);
}
