import type { Duplex } from 'node:stream';
import type {
  ChannelOptions,
  Metadata,
  MethodDefinition,
  Server,
  ServerDuplexStream,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
  ServiceError,
} from '@grpc/grpc-js';
import { clientCertificate } from '../../../link/dial/client-certificate.js';
import { GrpcConnection } from '../../../link/dial/grpc-connection.js';
import { explainStatus } from '../../../link/dial/grpc-errors.js';
import type { HostAddress } from '../../../link/dial/host-address.js';
import { silent } from '../../../link/dial/socket-errors.js';
import { ByteStream, type LineBytes } from '../../../link/grpc/byte-stream.js';
import { VERSION_KEY } from '../../../link/grpc/grpc-carrier.js';
import { linesService, MESSAGE_LIMIT } from '../../../link/grpc/host-service.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { native } from '../../../link/machine/globals.js';
import { NotedCalls } from './grpc-calls.js';

/**
 * The most bytes that a line has under way each way: as many as a line of 1 Gbit/s carries in a round trip of 30 ms. Each
 * line has a connection of its own.
 */
export const LINE_BYTES: number = 4 << 20;
/** How long another host may take to answer, in milliseconds. It holds a wrong ticket's answer back for a second. */
const ANSWER_MS = 30_000;

const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_LIMIT,
  'grpc.max_send_message_length': MESSAGE_LIMIT,
  'grpc-node.flow_control_window': LINE_BYTES,
  // A host that stands still is noticed where nothing is received, too.
  'grpc.keepalive_time_ms': 15_000,
  'grpc.keepalive_timeout_ms': 10_000,
};

const calls = new NotedCalls<unknown>(LINE_BYTES);

/** Stores the line of a call's ticket. Use this only for good tickets. */
export function noteLine(
  asking: ServerInterceptingCall,
  call: ServerInterceptingCallInterface,
  claim: unknown,
): void {
  calls.note(asking, call, claim);
}

/** Serves `farlight.v1.Lines`: `onLine` gets each connection with the line of its ticket. */
export function serveLines<Claim>(
  server: Server,
  version: string,
  onLine: (line: Duplex, claim: Claim) => void,
): void {
  server.addService(linesService(), {
    Open(duplex: ServerDuplexStream<LineBytes, LineBytes>) {
      const { facts, cancel } = calls.answer(duplex, version);
      onLine(new ByteStream(duplex, cancel), facts as Claim);
    },
  });
}

/**
 * Opens a line to another host with a ticket that it gave out.
 *
 * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST, UNAUTHORIZED (rejects).
 */
export function openLine(address: HostAddress, ticket: string): Promise<Duplex> {
  return openByteStream(address, linesService().Open, ticket);
}

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
