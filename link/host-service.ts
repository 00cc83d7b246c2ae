import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { type ClientMessage, decodeFrame, encodeFrame, type HostMessage } from '../proto/envelope.js';
import { invariant } from '../proto/errors.js';
import type { HostDescription } from '../proto/handshake.js';

export interface EchoRequest {
  payload: Uint8Array;
  replyBytes: number;
}

export interface EchoReply {
  payload: Uint8Array;
}

/** The gRPC service of farlight.proto with its messages' types. */
export interface HostService extends ServiceDefinition {
  Session: MethodDefinition<ClientMessage, HostMessage>;
  Describe: MethodDefinition<Record<string, never>, HostDescription>;
  Echo: MethodDefinition<EchoRequest, EchoReply>;
}

let service: HostService | undefined;

/** The service as both sides use it. Loaded on first use: a program on a private host needs no gRPC. */
export function hostService(): HostService {
  service ??= load();
  return service;
}

function load(): HostService {
  const file = fileURLToPath(new URL('../proto/farlight.proto', import.meta.url));
  // Required here for the reason that grpc.ts gives.
  const { loadSync } = createRequire(import.meta.url)(
    '@grpc/proto-loader',
  ) as typeof import('@grpc/proto-loader');
  const definitions = loadSync(file, { longs: Number, enums: String, defaults: true, oneofs: true });
  const loaded = definitions['farlight.v1.Host'] as unknown as HostService | undefined;
  invariant(loaded, 'farlight.proto defines farlight.v1.Host');
  const { Session } = loaded;
  return {
    ...loaded,
    Session: {
      ...Session,
      requestSerialize: (message) =>
        'commands' in message ? buffer(encodeFrame(message.commands)) : Session.requestSerialize(message),
      requestDeserialize: (bytes) => {
        const commands = decodeFrame(bytes);
        return commands ? { commands } : Session.requestDeserialize(bytes);
      },
      responseSerialize: (message) =>
        'replies' in message ? buffer(encodeFrame(message.replies)) : Session.responseSerialize(message),
      responseDeserialize: (bytes) => {
        const replies = decodeFrame(bytes);
        return replies ? { replies } : Session.responseDeserialize(bytes);
      },
    },
  };
}

/** gRPC wants Buffers; this is one over the same memory. */
function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
