/**
 * What an executor asks of the host on behalf of its session, where the session's tenant has a limit that its
 * sessions share. It travels on Node's IPC channel, beside the session.
 */
export type ShareReport =
  /** The session would have so many bytes of GPU memory in all; to be answered with `memory`. */
  | { type: 'wantMemory'; bytes: number }
  /** The session has given back what it does not use of its memory, and keeps so many bytes. Answers `spare`. */
  | { type: 'keepMemory'; bytes: number }
  /** The session has work for the GPU, and waits for its turn. */
  | { type: 'wantTurn' }
  /** The session's turn is over, in which the GPU worked for it for so many milliseconds. */
  | { type: 'endTurn'; ms: number };

/** What the host answers, and asks in turn. */
export type ShareCommand =
  /** The session may have so many bytes of GPU memory in all; what its tenant may have, and its other sessions have. */
  | { type: 'memory'; bytes: number; limit: number; others: number }
  /** Another session of the tenant needs memory: what this one does not use goes back. */
  | { type: 'spare' }
  /** The session may use the GPU for so many milliseconds; 0: until it is asked to yield. */
  | { type: 'turn'; ms: number }
  /** The session's turn is to end when what it has submitted is done. */
  | { type: 'yield' };
