import { type Recipients, readReplies } from '../../client/session/replies.js';
import { ProtocolError } from '../../proto/errors.js';
import { BatchAssembler } from '../../proto/wire/batch.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { Rejection } from '../../proto/wire/reply.js';

/** How an awaited command was answered: what it answers, but for bytes; or why it was refused. */
export type Outcome = { reply: unknown } | { rejection: Rejection };

/** What a device told by itself. */
export type DeviceWord = { type: string; message: string } | { lost: string };

export interface AnswerEvents {
  /** The operation of a serial. Throws ProtocolError where that is none, or was answered. */
  operation(serial: number): AnyOperation;
  /** The next bytes that a command answers. */
  bytes(serial: number, bytes: Uint8Array): void;
  settled(serial: number, outcome: Outcome): void;
  told(device: number, word: DeviceWord): void;
}

/** Reads the frames of replies of a session, one side's: the recorded one, or that of the replay. */
export class Answers {
  readonly #assembler = new BatchAssembler();
  readonly #recipients: Recipients;

  constructor(events: AnswerEvents) {
    this.#recipients = {
      take(serial) {
        const operation = events.operation(serial);
        return {
          operation,
          resolve(reply) {
            if (!(reply instanceof Uint8Array)) {
              events.settled(serial, { reply });
              return;
            }
            events.bytes(serial, reply);
            events.settled(serial, { reply: undefined });
          },
          refuse: (rejection) => events.settled(serial, { rejection }),
          // What could not be read is thrown as well.
          reject: () => {},
          part: undefined,
        };
      },
      part(serial, bytes) {
        events.operation(serial);
        events.bytes(serial, bytes);
      },
      device: (id) => ({
        onUncapturedError: ({ type, message }) => events.told(id, { type, message }),
        onLost: (reason) => events.told(id, { lost: reason }),
      }),
      missing: () => {
        throw new ProtocolError('a content is missing where none was named');
      },
      // What a host has from earlier makes no difference to what it answers.
      held: () => {},
      activity: () => {},
    };
  }

  /** Throws ProtocolError where it is none that a host may send. */
  push(frame: Uint8Array): void {
    const batch = this.#assembler.push(frame);
    if (batch) readReplies(batch, this.#recipients);
  }
}
