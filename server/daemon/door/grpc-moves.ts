import type { Duplex } from 'node:stream';
import type {
  Server,
  ServerDuplexStream,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import type { HostAddress } from '../../../link/dial/host-address.js';
import { openByteStream, STREAM_BYTES } from '../../../link/dial/open-byte-stream.js';
import type { LineBytes } from '../../../link/grpc/byte-stream.js';
import { movesService } from '../../../link/grpc/host-service.js';
import type { KnownClient } from '../../trust/admission.js';
import { bytesOf, NotedCalls } from './grpc-calls.js';

const calls = new NotedCalls<KnownClient>(STREAM_BYTES);

/** Stores the host that makes a call. Use this only for hosts that may hand sessions over. */
export function noteMove(
  asking: ServerInterceptingCall,
  call: ServerInterceptingCallInterface,
  host: KnownClient,
): void {
  calls.note(asking, call, host);
}

/** Serves `farlight.v1.Moves`: `onMove` gets each connection with the host that hands a session over. */
export function serveMoves(
  server: Server,
  version: string,
  onMove: (stream: Duplex, host: KnownClient) => void,
): void {
  server.addService(movesService(), {
    Open(duplex: ServerDuplexStream<LineBytes, LineBytes>) {
      const { facts, cancel } = calls.answer(duplex, version);
      onMove(bytesOf(duplex, cancel), facts);
    },
  });
}

/**
 * Opens a connection to a host that may take a session. The token of the address is shown.
 *
 * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST, UNAUTHORIZED (rejects).
 */
export function openMove(address: HostAddress): Promise<Duplex> {
  return openByteStream(address, movesService().Open);
}
