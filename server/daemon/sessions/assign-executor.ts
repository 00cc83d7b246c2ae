import type { Socket } from 'node:net';
import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import type { FarlightError } from '../../../proto/errors.js';
import type { SessionEnd, SessionLimits, SessionOver } from '../../../proto/handshake.js';
import type { SessionLog } from '../../observatory/session-log.js';
import type { Greeting } from '../door/first-packet.js';
import type { Caller } from '../door/front-door.js';
import { handOver } from '../door/hand-over.js';
import type { Buffers } from '../tenants/quotas.js';
import type { SessionsOptions } from './sessions-options.js';

/** What a client has asked for, as far as it may have it. */
export type Granted = Greeting & { protocol: number; buffers: Buffers };

export interface Employment {
  /** The session's. */
  readonly id: string;
  readonly tenant: string;
  /** Who waits for the executor. */
  readonly caller: Caller;
  readonly granted: Granted;
  readonly log: SessionLog;
  /** The executor is to have the client's connection now; false where nobody wants that any more. */
  begin(): boolean;
  /** The connection cannot be handed over. */
  onFailed(end: SessionEnd): void;
  /** The session is over. */
  onOver(why: SessionOver): void;
  /** The executor is gone, and the session with it. */
  onLost(reason: FarlightError | undefined): void;
}

/** Has an executor serve a session, which gets the client's connection when its GPU is open. */
export function employ(options: SessionsOptions, employment: Employment): ExecutorChild {
  const { versions, pool, counters, contents, bridges, resumeMs, silence, quotas, shares } = options;
  const { id, tenant, caller, log } = employment;
  const { program, compression, protocol, buffers } = employment.granted;
  const limits: SessionLimits = {
    gpuMs: options.gpuMs,
    asksForMemory: quotas.of(tenant).gpuMemory !== undefined,
    takesTurns: options.manyTenants,
  };
  const windowBytes = buffers.commands;
  const child = pool.take(
    { tenant, program },
    {
      onReady: ({ adapter }) => {
        const kept = contents?.of(tenant);
        const { version } = versions;
        const welcome = { protocol, version, sessionId: id, resumeMs, compression, windowBytes };
        const blobs = kept?.folder;
        const begin = (socket: Socket) => {
          if (!employment.begin()) return false;
          const description = {
            program,
            limits,
            blobs,
            welcome: { ...welcome, contents: kept?.describe() },
            silence,
            bridged: socket !== caller.socket,
            replyBytes: buffers.replies,
          };
          log.opened(adapter.name);
          child.begin(description, socket, caller.head);
          return true;
        };
        handOver(caller.socket, bridges(), begin, (end) => employment.onFailed(end));
      },
      onTraffic: (traffic, work) => {
        log.carried(traffic, work);
        counters.framesUp += traffic.framesUp;
        counters.framesDown += traffic.framesDown;
        counters.bytesUp += traffic.bytesUp;
        counters.bytesDown += traffic.bytesDown;
      },
      onSpans: (spans, left) => log.did(spans, left),
      onShare: (report) => shares.receive(child, tenant, report),
      onReleased: () => shares.released(child, tenant),
      onOver: (why) => employment.onOver(why),
      onExit: (reason) => employment.onLost(reason),
    },
  );
  return child;
}
