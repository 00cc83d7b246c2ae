import type { Fate } from '../surface.js';
import type { Reader } from './reader.js';
import type { Writer } from './writer.js';

/**
 * One row of the surface, with the code that the generator made for it. `Api` are the arguments as the API's IDL converts
 * them, `Wire` as they are written, and `Read` as they are read (objects in place of handles). `Reply` is the host's reply.
 */
export interface Operation<Api, Wire, Read, Reply> {
  readonly interface: string;
  readonly member: string;
  readonly fate: Fate;
  /** Position in the operation table; -1 for a local row, which has no command. */
  readonly opcode: number;
  readonly creates: string | undefined;
  readonly regular: boolean;
  /** The API function's `length`: its required arguments. */
  readonly length: number;
  /** Throws TypeError as WebIDL does. Absent where the operation is overloaded or not in the API. */
  convert?(args: readonly unknown[]): Api;
  write(w: Writer, args: Wire): void;
  read<O>(r: Reader<O>): Read;
  writeReply(w: Writer, reply: Reply): void;
  readReply(r: Reader): Reply;
}

// biome-ignore lint/suspicious/noExplicitAny: a table of operations holds every argument type.
export type AnyOperation = Operation<any, any, unknown[], any>;
