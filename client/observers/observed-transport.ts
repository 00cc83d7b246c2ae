import type { FarlightError } from '../../proto/errors.js';
import type { Transport, Welcome } from '../transport/transport.js';

/** Sees the frames of a link. The frames are views, valid during the call. */
export interface LinkObserver {
  onWelcome?(welcome: Welcome): void;
  /** A frame is about to be sent. */
  onSend?(frame: Uint8Array): void;
  /** A frame came, and is about to be read. */
  onFrame?(frame: Uint8Array): void;
  onClose?(reason: FarlightError | undefined): void;
}

/** A transport for one link, whose frames the observer sees. */
export function observedTransport(transport: Transport, observer: LinkObserver): Transport {
  return {
    target: transport.target,
    idleMs: transport.idleMs,
    open(hello, events) {
      const link = transport.open(hello, {
        onWelcome(welcome) {
          observer.onWelcome?.(welcome);
          events.onWelcome(welcome);
        },
        onFrame(frame) {
          observer.onFrame?.(frame);
          return events.onFrame(frame);
        },
        onDrain: () => events.onDrain(),
        onTaken: (bytes, frames) => events.onTaken?.(bytes, frames),
        onSaved: (bytes, way) => events.onSaved?.(bytes, way),
        onClose(reason) {
          observer.onClose?.(reason);
          events.onClose(reason);
        },
      });
      return {
        get saved() {
          return link.saved;
        },
        get underWay() {
          return link.underWay;
        },
        send(frame) {
          // Call this first: `send` gives the frame to the link.
          observer.onSend?.(frame);
          return link.send(frame);
        },
        // Undefined if the link has none now: its absence has a meaning.
        get awaitRoom() {
          const { awaitRoom } = link;
          return awaitRoom && (() => awaitRoom.call(link));
        },
        close: () => link.close(),
        ref: () => link.ref(),
        unref: () => link.unref(),
      };
    },
  };
}
