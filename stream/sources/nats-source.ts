import type { JsMsg } from '@nats-io/jetstream';
import { traceparentOf } from '../../infer/protocol/request.js';
import { pause } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import type { Nats } from '../broker/nats-connection.js';
import type { SourceDefinition } from '../definition/definition.js';
import { type CheckedRecord, checkRecord } from './posted-records.js';
import { type Feed, roomIn } from './source.js';

/** Milliseconds until the subject is asked for again, where no stream takes it or no server answers. */
const RETRY_MS = 2000;
/** How long a request for messages waits at the server. After so long it is known that a server has gone, in milliseconds. */
const WAIT_MS = 2000;

type NatsDefinition = Extract<SourceDefinition, { kind: 'nats' }>;

/**
 * Takes the messages of a subject, in the order in which JetStream has them. A record's position is the sequence of its
 * message, so after a restart each message counts once, and nothing is kept on the server. A message that is no record is
 * left out, and `log` is told.
 */
export async function followSubject(
  name: string,
  { subject, types }: NatsDefinition,
  nats: Nats,
  feed: Feed,
  log: (message: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const known = new Map(Object.entries(types));
  let last = Math.max(0, ...[...feed.positions.values()].map(Number));
  const take = async (message: JsMsg) => {
    if (message.seq <= last) return;
    await roomIn(feed, signal);
    if (signal.aborted) return;
    let record: CheckedRecord;
    try {
      const given = JSON.parse(message.string());
      record = checkRecord(name, known, isPlain(given) ? { key: message.subject, ...given } : given);
    } catch (error) {
      log(`message ${message.seq} of ${message.subject} is no record of source ${name}: ${messageOf(error)}`);
      return;
    }
    const traceparent = traceparentOf(message.headers?.get('traceparent'));
    await feed.ingest({
      key: record.key,
      values: record.values,
      position: message.seq,
      ...(traceparent !== undefined && { traceparent }),
    });
    last = message.seq;
  };
  while (!signal.aborted) {
    try {
      for await (const message of messagesOf(subject, last + 1, nats, signal)) await take(message);
    } catch (error) {
      if (!signal.aborted)
        log(`source ${name} gets no messages of ${subject}, and asks again: ${messageOf(error)}`);
    }
    await pause(RETRY_MS, signal);
  }
}

async function* messagesOf(
  subject: string,
  from: number,
  { jetstream, manager }: Nats,
  signal: AbortSignal,
): AsyncGenerator<JsMsg> {
  const consumer = await jetstream.consumers.get(await manager.streams.find(subject), {
    filter_subjects: subject,
    deliver_policy: 'by_start_sequence',
    opt_start_seq: from,
  });
  const messages = await consumer.consume({ max_messages: 256, expires: WAIT_MS });
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
