/** The byte that stands for each thing that the fake executor does on a frame. */
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
