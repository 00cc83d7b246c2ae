import { type Recipients, readReplies } from '../../client/session/replies.js';
import { ProtocolError } from '../../proto/errors.js';
import { FlushAssembler } from '../../proto/wire/flush.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { Rejection } from '../../proto/wire/reply.js';

/** The outcome of an awaited command: its reply without bytes, or why it was rejected. */
export type Outcome = { reply: unknown } | { rejection: Rejection };

/** An event that a device reported by itself. */
export type DeviceEvent = { type: string; message: string } | { lost: string };

export interface ReplyEvents {
  /** The operation with this serial. Throws ProtocolError if there is none, or if it has its reply. */
  operation(serial: number): AnyOperation;
  /** The next bytes of a reply. */
  bytes(serial: number, bytes: Uint8Array): void;
  settled(serial: number, outcome: Outcome): void;
  told(device: number, word: DeviceEvent): void;
}

/** Reads the reply frames of one side: of the recorded session, or of the replay. */
export class ReplyReader {
  readonly #assembler = new FlushAssembler();
  readonly #recipients: Recipients;

  constructor(events: ReplyEvents) {
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
          // A reply that could not be read is thrown as well.
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
      // Pipelines that a host has from earlier make no difference to its replies.
      held: () => {},
      activity: () => {},
      memory: () => {},
    };
  }

  /** Throws ProtocolError if a host may not send this frame. */
  push(frame: Uint8Array): void {
    const flush = this.#assembler.push(frame);
    if (flush) readReplies(flush, this.#recipients);
  }
}
