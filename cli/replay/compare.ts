import type { Readback } from './readback.js';
import type { RecordedCall } from './recorded-commands.js';
import type { DeviceEvent, Outcome } from './reply-reader.js';

/** The first difference between a recording and its replay. */
export interface Difference {
  sentence: string;
  /**
   * The number of the awaited command in the recording; undefined if a device reported something by itself.
   */
  serial?: number;
  /** For example `GPUBuffer.mapAsync`. */
  call?: string;
  /** For example `GPUBuffer 'result'`. */
  about?: string;
  /** The position in the buffer, in bytes. */
  offset?: number;
}

/** Operations whose replies describe the adapter or the host's memory: the program does not cause their differences. */
const OF_HOST: ReadonlySet<string> = new Set(['requestAdapter', 'requestDevice', 'read', 'resetPeak']);

/** Compares the outcomes of a command; `readback` has the bytes. */
export function compareReplies(
  call: RecordedCall,
  recorded: Outcome,
  replayed: Outcome,
  readback: Readback | undefined,
): Difference | undefined {
  const what = differenceOf(call, recorded, replayed) ?? bytesDifference(call, readback);
  if (!what) return undefined;
  const { serial, operation, about } = call;
  const name = `${operation.interface}.${operation.member}`;
  const sentence = `${name} of ${about} (awaited command ${serial}) ${what.words}`;
  return {
    sentence,
    serial,
    call: name,
    about,
    ...('offset' in what && { offset: what.offset }),
  };
}

/** Compares the `number`th event that a device reported by itself. */
export function compareEvents(
  device: string,
  number: number,
  recorded: DeviceEvent | undefined,
  replayed: DeviceEvent | undefined,
): Difference | undefined {
  if (JSON.stringify(recorded) === JSON.stringify(replayed)) return undefined;
  const sentence = `error ${number} that ${device} reported by itself differs: recorded ${words(recorded)}, now ${words(replayed)}`;
  return { sentence, about: device };
}

interface What {
  words: string;
  offset?: number;
}

function differenceOf({ operation }: RecordedCall, recorded: Outcome, replayed: Outcome): What | undefined {
  const [before, now] = [recorded, replayed].map((outcome) => canonical(operation.member, outcome));
  if (before === now) return undefined;
  return { words: `has another reply: recorded ${before}, now ${now}` };
}

function canonical(member: string, outcome: Outcome): string {
  if ('rejection' in outcome) {
    const { name, message, reason } = outcome.rejection;
    return JSON.stringify({ rejected: name, ...(reason && { reason }), message });
  }
  if (OF_HOST.has(member)) return outcome.reply === null ? 'null' : 'a reply';
  return JSON.stringify(outcome.reply) ?? 'fulfilled';
}

function bytesDifference({ offset, ofTime }: RecordedCall, readback: Readback | undefined): What | undefined {
  if (!readback) return undefined;
  const { recorded, replayed } = readback.lengths;
  const { difference } = readback;
  if (difference && !ofTime) {
    const at = offset + difference.offset;
    return {
      words: `differs first at byte ${at}: recorded ${hex(difference.recorded)}, now ${hex(difference.replayed)}`,
      offset: at,
    };
  }
  if (recorded === replayed) return undefined;
  return { words: `has another length: recorded ${recorded} bytes, now ${replayed}` };
}

const hex = (byte: number) => `0x${byte.toString(16).padStart(2, '0')}`;

function words(word: DeviceEvent | undefined): string {
  if (!word) return 'none';
  return 'lost' in word ? `that it was lost (${word.lost})` : `${word.type} (${word.message})`;
}
