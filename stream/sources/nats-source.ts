import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import { traceparentOf } from '../../infer/protocol/request.js';
import { pause } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import type { Nats } from '../broker/nats-connection.js';
import type { SourceDefinition } from '../definition/definition.js';
import { UnfitRecordError } from '../log/record-log.js';
import { type Attempts, WHOLE } from './attempts.js';
import { type CheckedRecord, checkRecord } from './posted-records.js';
import { type Feed, roomIn } from './source.js';

/** Milliseconds until the subject is asked for again, after its messages have ended without an error. */
const AGAIN_MS = 2000;
/** How long a request for messages waits at the server. After so long it is known that a server has gone, in milliseconds. */
const WAIT_MS = 2000;

type NatsDefinition = Extract<SourceDefinition, { kind: 'nats' }>;

/**
 * Takes the messages of a subject, in the order in which JetStream has them. A record's position is the sequence of its
 * message, so after a restart each message counts once, and nothing is kept on the server. A message that is no record is
 * put aside.
 */
export async function followSubject(
  name: string,
  { subject, types }: NatsDefinition,
  nats: Nats,
  feed: Feed,
  attempts: Attempts,
  signal: AbortSignal,
): Promise<void> {
  const known = new Map(Object.entries(types));
  let last = Math.max(0, ...[...feed.positions.values()].map(Number));
  const take = async (message: JsMsg) => {
    if (message.seq <= last) return;
    await roomIn(feed, signal);
    if (signal.aborted) return;
    const traceparent = traceparentOf(message.headers?.get('traceparent'));
    try {
      const { key, values } = recordIn(message, name, known);
      await feed.ingest({
        key,
        values,
        position: message.seq,
        ...(traceparent !== undefined && { traceparent }),
      });
    } catch (error) {
      if (!(error instanceof UnfitRecordError)) throw error;
      attempts.putAside(`message ${message.seq} of ${message.subject}`, error.message);
    }
    last = message.seq;
  };
  const takeAll = async () => {
    const messages = await messagesOf(subject, last, nats, signal);
    attempts.well(WHOLE);
    for await (const message of messages) await take(message);
  };
  while (!signal.aborted) {
    await attempts.untilWell(WHOLE, takeAll, signal);
    await pause(AGAIN_MS, signal);
  }
}

/** @throws UnfitRecordError where a message is no record of the source */
function recordIn(message: JsMsg, source: string, types: ReadonlyMap<string, string>): CheckedRecord {
  try {
    const given = JSON.parse(message.string());
    return checkRecord(source, types, isPlain(given) ? { key: message.subject, ...given } : given);
  } catch (error) {
    throw new UnfitRecordError(`it is no record: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * The messages of a subject after a sequence.
 *
 * @throws Error where its stream ends before: it was made anew, and its messages have sequences that were taken (rejects)
 */
async function messagesOf(
  subject: string,
  last: number,
  { jetstream, manager }: Nats,
  signal: AbortSignal,
): Promise<AsyncIterable<JsMsg>> {
  const stream = await manager.streams.find(subject);
  const { last_seq: end } = (await manager.streams.info(stream)).state;
  if (end < last)
    throw new Error(
      `stream ${stream} ends at message ${end}, and message ${last} was taken: it is another stream, or has lost messages. To take its messages, give the source another name, and upgrade`,
    );
  const consumer = await jetstream.consumers.get(stream, {
    filter_subjects: subject,
    deliver_policy: 'by_start_sequence',
    opt_start_seq: last + 1,
  });
  return untilStopped(await consumer.consume({ max_messages: 256, expires: WAIT_MS }), signal);
}

async function* untilStopped(messages: ConsumerMessages, signal: AbortSignal): AsyncGenerator<JsMsg> {
  const stop = () => messages.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    if (!signal.aborted) yield* messages;
  } finally {
    signal.removeEventListener('abort', stop);
    messages.stop();
  }
}

function isPlain(given: unknown): given is object {
  return typeof given === 'object' && given !== null && !Array.isArray(given);
}
