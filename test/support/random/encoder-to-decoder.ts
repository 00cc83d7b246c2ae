import { deserialize, serialize } from 'node:v8';
import { CommandEncoder } from '#farlight/client/reuse/command-encoder.js';
import { FlushAssembler } from '#farlight/proto/wire/flush.js';
import { Handle, ROOT_ID, UNMADE } from '#farlight/proto/wire/handle.js';
import type { AnyOperation } from '#farlight/proto/wire/operation.js';
import type { Writer } from '#farlight/proto/wire/writer.js';
import {
  CommandDecoder,
  NamedContent,
  type Payload,
} from '#farlight/server/executor/wire/command-decoder.js';

/** A command of no particular interface: numbers, objects and bytes. */
interface Args {
  numbers?: number[];
  objects?: Handle[];
  bytes?: Uint8Array[];
}

/** One that writes such a command. */
export const operation = (opcode: number, traits: Partial<AnyOperation> = {}) =>
  ({
    opcode,
    fate: 'command',
    write(w: Writer, { numbers = [], objects = [], bytes = [] }: Args) {
      for (const number of numbers) w.u32(number);
      for (const object of objects) w.handle(object);
      for (const each of bytes) w.bytes(each);
    },
    ...traits,
  }) as AnyOperation;

export const USE = operation(1);
export const CREATE = operation(2, { creates: 'Thing' });
export const WAIT = operation(3, { fate: 'awaited' });

/** What arrives of a command. */
export interface Arrived {
  shape: number[];
  operands: number[];
  payloads: string[];
  made: number;
}

/** Bytes as they can be compared. */
export const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

const received = (payload: Payload) =>
  payload instanceof NamedContent ? `${payload.length} bytes named ${text(payload.name)}` : text(payload);

/** A client that writes commands, and a host that reads them. */
export class Line {
  readonly owner = {};
  readonly root = new Handle(ROOT_ID, this.owner);
  readonly arrived: Arrived[] = [];
  readonly released: number[] = [];
  /** Contents, with their names, that came with a command and by themselves. */
  readonly stored: [string, string][] = [];
  readonly supplied: [string, string][] = [];
  readonly encoder: CommandEncoder;
  readonly #assembler = new FlushAssembler();
  #decoder = this.#newDecoder();

  constructor(reuse: 'on' | 'off' = 'on') {
    this.encoder = new CommandEncoder(this.owner, reuse);
  }

  create(args: Args = {}): Handle {
    const made = new Handle(UNMADE, this.owner);
    this.encoder.write(CREATE, this.root, args, made);
    return made;
  }

  use(self: Handle, args: Args = {}): void {
    this.encoder.write(USE, self, args);
  }

  wait(): void {
    this.encoder.write(WAIT, this.root, {});
  }

  /** Sends the flush; returns how many bytes it took, the first of each frame included. */
  send(): number {
    let sent = 0;
    for (const frame of this.encoder.take()) {
      sent += frame.length;
      this.receive(frame);
    }
    return sent;
  }

  /** Another host goes on in the place of this one, with what it was told of the session. */
  moveHost(): void {
    const { state } = this.#decoder;
    this.#decoder = this.#newDecoder();
    this.#decoder.restore(deserialize(serialize(state)));
  }

  #newDecoder(): CommandDecoder<{ shape: number[] }> {
    return new CommandDecoder<{ shape: number[] }>({
      decode: (shape) => ({ shape: [...shape] }),
      creates: ({ shape }) => shape[0] === CREATE.opcode,
      execute: ({ shape }, operands, payloads, made) =>
        void this.arrived.push({ shape, operands: [...operands], payloads: payloads.map(received), made }),
      store: (name, bytes) => void this.stored.push([text(name), text(bytes)]),
      supply: (name, bytes) => void this.supplied.push([text(name), text(bytes)]),
      release: (first, count) => {
        for (let id = first; id < first + count; id += 1) this.released.push(id);
      },
    });
  }

  receive(frame: Uint8Array): void {
    const flush = this.#assembler.push(frame);
    if (flush) this.#decoder.run(flush);
  }
}
