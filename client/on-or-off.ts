import { FarlightError } from '../proto/errors.js';

/** What an option says that is 'on' where nothing is said. @throws FarlightError BAD_OPTION */
export function onOrOff(name: string, value: string | undefined): 'on' | 'off' {
  if (value === undefined || value === '') return 'on';
  if (value === 'on' || value === 'off') return value;
  throw new FarlightError('BAD_OPTION', `The option ${name} is 'on' or 'off', not '${value}'.`);
}
