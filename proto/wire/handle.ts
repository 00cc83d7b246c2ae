/**
 * The name of an object that client and host share: its number in the order in which the session's
 * commands create objects. Both sides count, so that no create has to say it, and no number is ever used
 * twice: a command that was meant for a released object cannot reach another one.
 */
export class Handle {
  /** `UNMADE` until the command that creates the object is recorded. */
  id: number;
  /** The session that the object belongs to: elsewhere the number means nothing. */
  readonly owner: object | undefined;

  constructor(id: number, owner?: object) {
    this.id = id;
    this.owner = owner;
  }
}

/** The id of the GPU object itself: receiver of the session's own commands, alive from the start. */
export const ROOT_ID = 0;

/** The id of the first object that a session creates. */
export const FIRST_ID = 1;

/**
 * Stands for an object that belongs to another session, so that the command still takes its turn and
 * fails where the specification wants it to: on the device timeline.
 */
export const FOREIGN_ID = -1;

/** Of an object that was not created yet. */
export const UNMADE = -2;
