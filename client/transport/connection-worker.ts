/**
 * The thread with a program's connections. The program's own thread may compute for long without a pause. Meanwhile this
 * one sends its frames, and answers the pings of hosts.
 */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { hasFrameMemory, spareFrame } from '../../proto/wire/memory.js';
import { Flow, type FromWorker, type OpenRequest, SAVED, type ToWorker } from './flow.js';
import { networkHost } from './network-host.js';
import type { Link, LinkEvents } from './transport.js';

/** A frame with at most this many other bytes in its buffer is not copied into a buffer of its own. */
const SLACK = 4096;

/** The flows of open links. */
const flows = new Set<Flow>();

// The program's thread may be blocked until there is room. It must wake, however this thread ends.
process.on('exit', () => {
  for (const flow of flows) flow.close();
});

parentPort?.on('message', (request: OpenRequest) => {
  const { port, spares, way, hello, brought, flow: shared, saved: sharedToo } = request;
  const flow = new Flow(shared);
  flows.add(flow);
  const saved = new BigInt64Array(sharedToo);
  const tell = (message: FromWorker, transfer?: ArrayBuffer[]) => port.postMessage(message, transfer);
  const events: LinkEvents = {
    onWelcome: (welcome) => tell({ welcome }),
    onFrame: (frame) => give(port, frame),
    onTaken: (bytes, frames) => {
      if (flow.taken(bytes)) tell('drain');
      // The program's thread made these frames.
      for (const frame of frames) if (hasFrameMemory(frame)) give(spares, frame);
    },
    onSaved: (bytes, way) => Atomics.add(saved, SAVED[way], BigInt(bytes)),
    // The flow's credit decides that. It also counts frames on their way to this thread.
    onDrain: () => {},
    onClose: (reason) => {
      flow.close();
      flows.delete(flow);
      tell({ closed: reason && { code: reason.code, message: reason.message } });
      port.close();
      spares.close();
    },
  };
  let link: Link;
  try {
    link = networkHost(way.host, way.options).open(hello, events, brought);
  } catch (error) {
    events.onClose(asFarlightError(error));
    return;
  }
  // Without a missing frame the session cannot continue.
  port.on('messageerror', (error) => {
    throw error;
  });
  port.on('message', (message: ToWorker) => {
    if (message === 'close') link.close();
    else if (message === 'beat') flow.beat();
    else if ('spare' in message) spareFrame(message.spare);
    else link.send(message);
  });
});

function asFarlightError(error: unknown): FarlightError {
  if (error instanceof FarlightError) return error;
  return new FarlightError('UNREACHABLE', messageOf(error), { cause: error });
}

/**
 * Passes a frame on. Its buffer is transferred only if no later frame lies in it: that frame would lose its memory.
 * Earlier frames were passed on already.
 */
function give(port: MessagePort, frame: Uint8Array): void {
  const { buffer, byteOffset, byteLength } = frame;
  const last = byteOffset + byteLength === buffer.byteLength;
  const own = hasFrameMemory(frame) || (last && byteOffset <= SLACK && byteLength > SLACK);
  // Not `slice`, which does not copy a Buffer.
  const given = own ? frame : new Uint8Array(frame);
  port.postMessage(given, [given.buffer as ArrayBuffer]);
}
