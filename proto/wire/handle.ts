/**
 * The number of an object, which client and host share. The session's commands create objects in one order, and the
 * number is the place in it. Both sides count, so a create does not send the number. No number is used twice, so a
 * command for a released object never reaches another one.
 */
export class Handle {
  /** `UNMADE` until the command that creates the object is recorded. */
  id: number;
  /** The session of the object. In another session the number means nothing. */
  readonly owner: object | undefined;

  constructor(id: number, owner?: object) {
    this.id = id;
    this.owner = owner;
  }
}

/** The id of the GPU object itself. It receives the session's own commands, and exists from the start. */
export const ROOT_ID = 0;

/** The id of the first object that a session creates. */
export const FIRST_ID = 1;

/**
 * Stands for an object of another session. The command with it still runs in its order, and fails on the device
 * timeline, as the specification demands.
 */
export const FOREIGN_ID = -1;

/** The id of an object that is not created yet. */
export const UNMADE = -2;
