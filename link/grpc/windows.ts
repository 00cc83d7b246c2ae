import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { invariant } from '../../proto/errors.js';

/** The private part of a call of grpc-js 1.14 that has no public way: its HTTP/2 stream. */
interface Private {
  stream?: ServerHttp2Stream;
}

/** The largest window that HTTP/2 has (RFC 9113, section 6.9.1). */
const LARGEST_WINDOW = 2 ** 31 - 1;

const widened = new WeakSet<Http2Session>();

/**
 * Widens the windows of a call's connection: each call may have so many bytes on its way, instead of HTTP/2's 64 KiB. So
 * a call that nobody reads does not stop the others. grpc-js has no such option for servers. Only for known clients: each
 * call may fill a window of memory.
 */
export function widenWindows(call: ServerInterceptingCallInterface, bytes: number): void {
  const session = streamOf(call).session;
  if (!session || session.destroyed || widened.has(session)) return;
  widened.add(session);
  session.setLocalWindowSize(LARGEST_WINDOW);
  session.settings({ initialWindowSize: bytes });
}

/** Whether the windows of a call's connection are wide: known clients use it. */
export function isWidened(call: ServerInterceptingCallInterface): boolean {
  const { session } = streamOf(call);
  return session !== undefined && widened.has(session);
}

export function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream {
  const { stream } = call as Private;
  invariant(stream, 'a call of grpc-js has its stream');
  return stream;
}
