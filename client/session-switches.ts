import { FarlightError } from '../proto/errors.js';

/** Options of `create` that pages and Node share. */
export interface SessionSwitches {
  /** 'off' sends each command in a message of its own: for debugging and for comparison. */
  grouping?: 'on' | 'off' | undefined;
  /**
   * 'off' sends every command in full, and waits until the host has executed it before it sends the next one.
   */
  reuse?: 'on' | 'off' | undefined;
  /**
   * 'auto' asks for what the program is expected to await next, where the host is not near; 'on' also where it is;
   * 'off' never.
   */
  ahead?: 'auto' | 'on' | 'off' | undefined;
}

/** An option that is 'on' unless it is set. @throws FarlightError BAD_OPTION */
export function onOrOff(name: 'grouping' | 'reuse', value: string | undefined): 'on' | 'off' {
  if (value === undefined || value === '') return 'on';
  if (value === 'on' || value === 'off') return value;
  throw new FarlightError('BAD_OPTION', `The option ${name} is 'on' or 'off', not '${value}'.`);
}

/** An option that is 'auto' unless it is set. @throws FarlightError BAD_OPTION */
export function autoOnOrOff(name: 'ahead' | 'compression', value: string | undefined): 'auto' | 'on' | 'off' {
  if (value === undefined || value === '') return 'auto';
  if (value === 'auto' || value === 'on' || value === 'off') return value;
  throw new FarlightError('BAD_OPTION', `The option ${name} is 'auto', 'on' or 'off', not '${value}'.`);
}
