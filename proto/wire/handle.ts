/**
 * The name of an object that client and host share, minted by the client. An id is used again only
 * after its release, with the next generation, so a pair never names two objects: a command that was
 * meant for a released object cannot reach the one that took its place.
 */
export class Handle {
  readonly id: number;
  readonly generation: number;

  constructor(id: number, generation: number) {
    this.id = id;
    this.generation = generation;
  }
}

/** The receiver of the session's own commands and of `requestAdapter`; alive from the start. */
export const ROOT = new Handle(0, 0);
