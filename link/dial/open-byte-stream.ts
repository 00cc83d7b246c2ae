import type { Duplex } from 'node:stream';
import type { ChannelOptions, Metadata, MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { ByteStream, type LineBytes } from '../grpc/byte-stream.js';
import { VERSION_KEY } from '../grpc/grpc-carrier.js';
import { MESSAGE_LIMIT } from '../grpc/host-service.js';
import { clearTimeout, setTimeout } from '../machine/clock.js';
import { native } from '../machine/globals.js';
import { clientCertificate } from './client-certificate.js';
import { GrpcConnection } from './grpc-connection.js';
import { explainStatus } from './grpc-errors.js';
import type { HostAddress } from './host-address.js';
import { silent } from './socket-errors.js';

/**
 * The most bytes that a stream has under way each way: as many as a line of 1 Gbit/s carries in a round trip of 30 ms.
 * Each stream has a connection of its own.
 */
export const STREAM_BYTES: number = 4 << 20;
/** How long another host may take to answer, in milliseconds. It holds a wrong ticket's answer back for a second. */
const ANSWER_MS = 30_000;

const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_LIMIT,
  'grpc.max_send_message_length': MESSAGE_LIMIT,
  'grpc-node.flow_control_window': STREAM_BYTES,
  // A host that stands still is noticed where nothing is received, too.
  'grpc.keepalive_time_ms': 15_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

/**
 * Opens a stream of bytes to another host, on a connection of its own. Resolves when that host has admitted the call.
 *
 * @param token is shown in place of the address's own.
 * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST, UNAUTHORIZED (rejects).
 */
export function openByteStream(
  address: HostAddress,
  method: MethodDefinition<LineBytes, LineBytes>,
  token?: string,
): Promise<Duplex> {
  const connection = new GrpcConnection(address, {
    certificate: address.scheme === 'grpcs' ? clientCertificate(process.env) : undefined,
    channel: CHANNEL_OPTIONS,
  });
  const { client, metadata } = connection;
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  const { path, requestSerialize, responseDeserialize } = method;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  const stream = new ByteStream(call, () => {
    call.cancel();
    connection.close();
  });
  return new native.Promise((resolve, reject) => {
    const late = setTimeout(() => fail(silent(address, ANSWER_MS)), ANSWER_MS);
    const fail = (reason: Error) => {
      clearTimeout(late);
      reject(reason);
      stream.destroy();
    };
    // This listens also after the stream is open, since an error without a listener would end the process. Its user only
    // sees that it closes.
    stream.on('error', (error: Error) => {
      const failure = error as ServiceError;
      if (connection.refusal) fail(connection.refusal);
      else void explainStatus(address, failure).then(fail, fail);
    });
    call.on('metadata', (answer: Metadata) => {
      if (answer.get(VERSION_KEY).length === 0) return;
      clearTimeout(late);
      resolve(stream);
    });
  });
}
