/**
 * The name of an object that client and host share, minted by the client. An id is used again only
 * after its release, with the next generation, so a pair never names two objects: a command that was
 * meant for a released object cannot reach the one that took its place.
 */
export class Handle {
  readonly id: number;
  readonly generation: number;
  /** The session that minted it: elsewhere the pair means nothing. */
  readonly owner: object | undefined;

  constructor(id: number, generation: number, owner?: object) {
    this.id = id;
    this.generation = generation;
    this.owner = owner;
  }
}

/** The id of the GPU object itself: receiver of the session's own commands, alive from the start. */
export const ROOT_ID = 0;

/**
 * Written in place of an object that belongs to another session, so that the command still takes its
 * turn and fails where the specification wants it to: on the device timeline.
 */
export const FOREIGN = new Handle(ROOT_ID, 1);
