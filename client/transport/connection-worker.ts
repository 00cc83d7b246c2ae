/**
 * The thread that has the connections of a program: the program's own computes without a pause for long, and
 * meanwhile what it sends is to leave, and a host that asks whether it is still there is to be answered.
 */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { hasFrameMemory, spareFrame } from '../../proto/wire/memory.js';
import { Flow, type FromWorker, type OpenRequest, SAVED, type ToWorker } from './flow.js';
import { networkHost } from './open.js';
import type { Link, LinkEvents } from './transport.js';

/** Bytes around a frame in a buffer for which it is not worth to be copied into one of its own. */
const SLACK = 4096;

/** Of the links that are open. */
const flows = new Set<Flow>();

// However this thread ends: the program's may be blocked until there is room, and would hear of nothing.
process.on('exit', () => {
  for (const flow of flows) flow.close();
});

parentPort?.on('message', (request: OpenRequest) => {
  const { port, spares, way, hello, flow: shared, saved: sharedToo } = request;
  const flow = new Flow(shared);
  flows.add(flow);
  const saved = new BigInt64Array(sharedToo);
  const tell = (message: FromWorker, transfer?: ArrayBuffer[]) => port.postMessage(message, transfer);
  const events: LinkEvents = {
    onWelcome: (welcome) => tell({ welcome }),
    onFrame: (frame) => give(port, frame),
    onTaken: (bytes, frames) => {
      if (flow.taken(bytes)) tell('drain');
      // The program's thread made them.
      for (const frame of frames) if (hasFrameMemory(frame)) give(spares, frame);
    },
    onSaved: (bytes, way) => Atomics.add(saved, SAVED[way], BigInt(bytes)),
    // The flow's credit says that, which counts what is still on its way to this thread.
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
    link = networkHost(way.host, way.options).open(hello, events);
  } catch (error) {
    events.onClose(asFarlightError(error));
    return;
  }
  // A frame that is missing is nothing to go on without.
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
 * Passes a frame on. Its buffer goes with it where it is alone in it, or the last: those in front were passed on
 * already, but one behind it would be lost with the buffer.
 */
function give(port: MessagePort, frame: Uint8Array): void {
  const { buffer, byteOffset, byteLength } = frame;
  const last = byteOffset + byteLength === buffer.byteLength;
  const own = hasFrameMemory(frame) || (last && byteOffset <= SLACK && byteLength > SLACK);
  // Not `slice`, which is no copy where the frame is a Buffer.
  const given = own ? frame : new Uint8Array(frame);
  port.postMessage(given, [given.buffer as ArrayBuffer]);
}
