/** The byte of each action of the fake executor. */
export const ACTION: Readonly<
  Record<
    | 'echo'
    | 'pid'
    | 'end'
    | 'throw'
    | 'kill'
    | 'exit'
    | 'noise'
    | 'stall'
    | 'hang'
    | 'shaders'
    | 'grow'
    | 'linger'
    | 'flood'
    | 'digest',
    number
  >
>;
