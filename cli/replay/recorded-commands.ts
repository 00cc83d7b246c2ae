import { ProtocolError } from '../../proto/errors.js';
import { COMMANDS } from '../../proto/gen/operations.js';
import { FlushAssembler } from '../../proto/wire/flush.js';
import { FIRST_ID } from '../../proto/wire/handle.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { CommandDecoder } from '../../server/executor/wire/command-decoder.js';
import { DecodedCommand } from '../../server/executor/wire/decoded-command.js';

/** An awaited command of the recording. */
export interface RecordedCall {
  readonly serial: number;
  readonly operation: AnyOperation;
  /** The object that it is called on, or that it makes: `GPUBuffer 'result'`. */
  readonly about: string;
  /** The position of the reply's bytes in their buffer; 0 for other operations. */
  readonly offset: number;
  /** The reply's bytes are GPU times, which differ each time. */
  readonly ofTime: boolean;
}

/** An object that the recording made. */
interface Recorded {
  readonly kind: string;
  label: string;
}

/**
 * Reads the frames that a recorded session sent, and finds its awaited commands and their objects. The frames
 * may come from anyone.
 */
export class RecordedCommands {
  readonly #onCall: (call: RecordedCall) => void;
  readonly #assembler = new FlushAssembler();
  readonly #decoder: CommandDecoder<DecodedCommand>;
  readonly #objects = new Map<number, Recorded>();
  /** Query sets of times, and the buffers that these times were written to, by id. */
  readonly #ofTime = new Set<number>();
  #serial = 0;
  #nextId = FIRST_ID;
  #between = true;

  constructor(onCall: (call: RecordedCall) => void) {
    this.#onCall = onCall;
    this.#decoder = new CommandDecoder<DecodedCommand>({
      decode: (shape) => new DecodedCommand(shape, false),
      creates: ({ operation }) => operation.creates !== undefined,
      execute: (command, operands, _payloads, made) => this.#execute(command, operands, made),
      release: (first, count) => {
        for (let id = first; id < first + count; id += 1) {
          this.#objects.delete(id);
          this.#ofTime.delete(id);
        }
      },
      store: () => withoutContents(),
      supply: () => withoutContents(),
    });
  }

  /** The number of awaited commands so far. */
  get serial(): number {
    return this.#serial;
  }

  /** The id of the next object. */
  get nextId(): number {
    return this.#nextId;
  }

  /** Whether the last flush is complete. */
  get betweenFlushes(): boolean {
    return this.#between;
  }

  /** Throws ProtocolError if a client may not send this frame. */
  push(frame: Uint8Array): void {
    const flush = this.#assembler.push(frame);
    this.#between = flush !== undefined;
    if (flush) this.#decoder.run(flush);
  }

  /** `GPUDevice 'label'`. */
  nameOf(id: number): string {
    const { kind, label } = this.#objects.get(id) ?? { kind: 'object', label: '' };
    return label ? `${kind} '${label}'` : kind;
  }

  #execute({ operation, args }: DecodedCommand, operands: readonly number[], made: number): void {
    const { creates, fate } = operation;
    if (creates !== undefined) {
      this.#nextId = made + 1;
      this.#objects.set(made, { kind: creates, label: labelOf(args[0]) });
      if (this.#objects.size > LIMITS.objects) throw new ProtocolError('there are too many objects');
    }
    this.#followTime(operation, args, operands, made);
    if (operation === COMMANDS_BY_NAME.setLabel) {
      const [id, label] = args as [number, string];
      const object = this.#objects.get(id);
      if (object && typeof label === 'string') object.label = label;
    }
    if (fate !== 'awaited') return;
    const self = operands[0] ?? 0;
    this.#serial += 1;
    this.#onCall({
      serial: this.#serial,
      operation,
      about: creates === undefined ? this.nameOf(self) : this.nameOf(made),
      offset: operation === COMMANDS_BY_NAME.mapAsync ? Number(args[1]) : 0,
      ofTime: operation === COMMANDS_BY_NAME.mapAsync && this.#ofTime.has(self),
    });
  }

  /**
   * Times go from a query set to a buffer, and from buffer to buffer. It is not known what shaders make of
   * them.
   */
  #followTime({ member }: AnyOperation, args: readonly unknown[], operands: readonly number[], made: number) {
    const [, from = 0, to = 0] = operands;
    if (member === 'createQuerySet') {
      if ((args[0] as { type?: unknown })?.type === 'timestamp') this.#ofTime.add(made);
    } else if (member === 'resolveQuerySet' || member === 'copyBufferToBuffer') {
      if (this.#ofTime.has(from)) this.#ofTime.add(to);
    }
  }
}

const named = (name: string, member: string) =>
  COMMANDS.find((each) => each.interface === name && each.member === member);

const COMMANDS_BY_NAME = {
  setLabel: named('FarlightSession', 'setLabel'),
  mapAsync: named('GPUBuffer', 'mapAsync'),
};

function labelOf(descriptor: unknown): string {
  const { label } = (descriptor ?? {}) as { label?: unknown };
  return typeof label === 'string' ? label : '';
}

function withoutContents(): never {
  throw new ProtocolError('a content is sent by its name, which never happens in a recording');
}
