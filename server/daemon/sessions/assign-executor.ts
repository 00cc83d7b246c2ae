import type { Socket } from 'node:net';
import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import type { FarlightError } from '../../../proto/errors.js';
import type { SessionLimits, SessionReport } from '../../../proto/session/executor-messages.js';
import type { Silence, VersionRange } from '../../../proto/session/handshake.js';
import type { SessionEnd, SessionEnded } from '../../../proto/session/session-end.js';
import { NOTHING } from '../../../proto/wire/packet.js';
import type { Counters } from '../../observatory/counters.js';
import type { SessionLog } from '../../observatory/session-log.js';
import { type Bridges, handOver } from '../door/bridges.js';
import type { ClientHello } from '../door/first-packet.js';
import { refuse, type SessionRequest } from '../door/front-door.js';
import type { ExecutorPool } from '../executors/executor-pool.js';
import type { Buffers, Quotas } from '../tenants/quotas.js';
import type { Shares } from '../tenants/shares.js';
import type { TenantContents } from '../tenants/tenant-contents.js';
import type { Lines } from './lines.js';
import type { Parked } from './parking.js';

export interface AssignOptions {
  versions: VersionRange;
  pool: ExecutorPool;
  /** Undefined where the executors keep no contents. */
  contents: TenantContents | undefined;
  counters: Counters;
  /** Makes plain sockets of connections that no other process can take over; undefined where all can be. */
  bridges(): Bridges | undefined;
  /** How long a session outlives its connection, in milliseconds. */
  resumeMs: number;
  /** When a silent client counts as gone; undefined where the executors decide. */
  silence?: Silence | undefined;
  /** How long the GPU may take for one session's work, in milliseconds; 0: no limit. */
  gpuMs: number;
  /** Whether sessions of several tenants may use the GPU at the same time. */
  manyTenants: boolean;
  /** Whether sessions may be parked. */
  parks: boolean;
  quotas: Quotas;
  shares: Shares;
  /** Undefined where the owner has named no peers. */
  lines: Lines | undefined;
}

/** A client's Hello, with the protocol and the buffers that the host grants. */
export type SessionTerms = ClientHello & { protocol: number; buffers: Buffers };

/** A session that needs an executor. */
export interface Assignment {
  /** The session's id. */
  readonly id: string;
  readonly tenant: string;
  /** Undefined where the session comes from another host, and its client comes later. */
  readonly request: SessionRequest | undefined;
  readonly terms: SessionTerms;
  readonly log: SessionLog;
  /** Of a parked session: where it is stored. */
  readonly parked?: Parked | undefined;
  /** Called when the executor is about to get the connection; returns false where the session needs it no more. */
  begin(child: ExecutorChild): boolean;
  /** The session had a command. */
  onWork?(): void;
  /** The executor's replies to `park` and to a session that was parked. */
  onParked?(parked: Extract<SessionReport, { type: 'parked' }>): void;
  onNotParked?(why: Extract<SessionReport, { type: 'notParked' }>): void;
  onUnparked?(isBack: boolean, adapter: string): void;
  /** The connection cannot be handed over. */
  onFailed(end: SessionEnd): void;
  /** The session has ended. */
  onSessionEnded(why: SessionEnded): void;
  /** The executor has exited, and the session with it. */
  onLost(reason: FarlightError | undefined): void;
}

/** Assigns an executor to a session. The executor gets the client's connection once its GPU is open. */
export function assignExecutor(options: AssignOptions, assignment: Assignment): ExecutorChild {
  const { versions, pool, counters, contents, bridges, resumeMs, silence, quotas, shares, lines } = options;
  const { id, tenant, request, log, parked } = assignment;
  const { program, compression, protocol, buffers, parks: knowsParking } = assignment.terms;
  const windowBytes = buffers.commands;
  /** The bytes that the session has sent and received over lines, as its executor last said. */
  let overLines = { to: log.work.bytesToHosts, from: log.work.bytesFromHosts };
  let adapterName = '';
  const carried = ({ type: _, work, ...traffic }: Extract<SessionReport, { type: 'traffic' }>) => {
    log.carried(traffic, work);
    if (traffic.framesUp > 0) assignment.onWork?.();
    if (work) {
      shares.claims(child, work.gpuBytes + work.gpuReserved);
      counters.bytesToHosts += work.bytesToHosts - overLines.to;
      counters.bytesFromHosts += work.bytesFromHosts - overLines.from;
      overLines = { to: work.bytesToHosts, from: work.bytesFromHosts };
    }
    counters.framesUp += traffic.framesUp;
    counters.framesDown += traffic.framesDown;
    counters.bytesUp += traffic.bytesUp;
    counters.bytesDown += traffic.bytesDown;
  };
  const child = pool.take(
    { tenant, program },
    {
      onReady: ({ adapter }) => {
        const kept = contents?.of(tenant);
        const { version } = versions;
        const welcome = { protocol, version, sessionId: id, resumeMs, compression, windowBytes };
        const folder = kept?.folder;
        const begin = (socket: Socket | undefined) => {
          if (!assignment.begin(child)) return false;
          adapterName = adapter.name;
          const isNear = socket !== undefined && socket === request?.socket;
          const head = request?.head ?? NOTHING;
          const parks = options.parks && (knowsParking === true || !isNear);
          const limits: SessionLimits = {
            gpuMs: options.gpuMs,
            memory: shares.open(child, tenant),
            memoryUntilCollected: options.manyTenants || quotas.of(tenant).gpuMemory !== undefined,
            takesTurns: options.manyTenants,
          };
          const description = {
            program,
            limits,
            folder,
            welcome: { ...welcome, contents: kept?.describe(), ...(lines && { lines: true }) },
            parks,
            silence,
            bridged: !isNear,
            replyBytes: buffers.replies,
          };
          const session = { session: description, head };
          if (!parked) log.opened(adapter.name);
          const command = parked
            ? ({ type: 'unpark', ...session, ...parked } as const)
            : ({ type: 'begin', ...session } as const);
          if (socket) child.hand(command, socket, isNear && (parked !== undefined || parks));
          else child.tell(command);
          return true;
        };
        if (request) handOver(request.socket, bridges(), begin, (end) => assignment.onFailed(end));
        else begin(undefined);
      },
      onReport: (report) => {
        switch (report.type) {
          case 'traffic':
            carried(report);
            break;
          case 'spans':
            log.did(report.spans, report.left);
            break;
          case 'parked':
            assignment.onParked?.(report);
            break;
          case 'notParked':
            assignment.onNotParked?.(report);
            break;
          case 'unparked':
            assignment.onUnparked?.(report.isBack, adapterName);
            break;
          case 'acceptLine':
          case 'connectLine':
            lines?.receive(child, tenant, report);
            break;
          default:
            shares.receive(child, tenant, report);
        }
      },
      onNotTaken: refuse,
      onReleased: () => shares.released(child),
      onSessionEnded: (why) => assignment.onSessionEnded(why),
      onExit: (reason) => assignment.onLost(reason),
    },
  );
  return child;
}
