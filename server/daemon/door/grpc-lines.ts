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
import { linesService } from '../../../link/grpc/host-service.js';
import { bytesOf, NotedCalls } from './grpc-calls.js';

const calls = new NotedCalls<unknown>(STREAM_BYTES);

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
      onLine(bytesOf(duplex, cancel), facts as Claim);
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
