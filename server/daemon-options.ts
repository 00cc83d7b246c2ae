import type { RenewReply, RenewRequest } from '../link/grpc/host-service.js';
import type { Silence, VersionRange } from '../proto/session/handshake.js';
import type { TenantContentsOptions } from './daemon/tenants/tenant-contents.js';
import type { Log } from './observatory/log.js';
import type { HostTrustOptions } from './trust/host-trust.js';
import type { TenantLimits } from './trust/tenant-limits.js';

/** The lease of a host that is valid only as long as a client renews it. Its owner ends the host when it lapses. */
export interface Lease {
  /** A client renews it, or only asks for a challenge. `sessions`: how many clients hold it, with a session or before one. */
  renew(request: RenewRequest): RenewReply;
  /** Whether the host may take sessions now. */
  isValid(): boolean;
}

/** When sessions are parked, and where. */
export interface ParkingSettings {
  /** The folder above the folders of hosts. */
  root: string;
  /** After how long without a command a session is parked, in milliseconds; 0: only when it is asked for. */
  idleMs: number;
  /** How long a session may stay parked, in milliseconds. Default a day. */
  keepMs?: number | undefined;
  /** The most bytes of all parked sessions. Default 16 GiB, or half of the free disk space if that is less. */
  maxBytes?: number | undefined;
}

export interface DaemonOptions extends HostTrustOptions {
  /** Default: the host is valid until it is stopped. */
  lease?: Lease | undefined;
  /** How often to read the certificate again, in milliseconds. Default: once a day. */
  certificateCheckMs?: number | undefined;
  /** The GPU that the executors open: `auto` (default), `software`, `null`, or a part of an adapter's name. */
  adapter?: string | undefined;
  /** How many spare executors are ready for any program. Default 1. */
  spares?: number | undefined;
  /** How many executors stay warm for the next session of the program that they served last. Default 4. */
  warm?: number | undefined;
  /** The most open sessions. Default 64. */
  maxSessions?: number | undefined;
  /** How long a session outlives its connection, in milliseconds. Default 30 s. */
  resumeMs?: number | undefined;
  /** When a silent client counts as gone. Default: after 60 s, with a ping every 20 s. */
  silence?: Silence | undefined;
  /** How long an executor may be busy without a pause, in milliseconds, before the host ends it. Default 120 s. */
  busyMs?: number | undefined;
  /** How long an executor may take to open its GPU, in milliseconds, before the host ends it. Default 90 s. */
  startMs?: number | undefined;
  /** Bytes of the machine's memory for one executor; 0: no limit. Default: half of the machine's. */
  executorBytes?: number | undefined;
  /** Bytes of it for all executors; 0: no limit. Default: three quarters of it, or `executorBytes` where that is more. */
  executorsBytes?: number | undefined;
  /** How long the GPU may take for one session's work, in milliseconds; 0: no limit. Default 120 s. */
  gpuMs?: number | undefined;
  /**
   * Bytes of GPU memory for the sessions of all tenants; 0: no limit. Default: what the GPU has, without a margin, where
   * something tells it.
   */
  gpuCapacity?: number | undefined;
  /** The limits of each tenant, unless its tokens set others. Default: the host's own. */
  tenantLimits?: TenantLimits | undefined;
  /** The log. Default: none. */
  log?: Log | undefined;
  /** Where to keep contents for later sessions. Default: nowhere. */
  contents?: TenantContentsOptions | undefined;
  /** The dashboard's address: `HOST:PORT` on loopback, where port 0 is any free one. Default: no dashboard. */
  dashboard?: string | undefined;
  /**
   * The origins of pages that may open sessions at the dashboard's address, besides its own: `https://app.example`, as a
   * browser sends it. Default: none.
   */
  allowOrigins?: readonly string[] | undefined;
  /**
   * The addresses of other hosts, with their pins and without tokens: sessions may have lines to sessions there. Default:
   * none, and then no session has a line.
   */
  peers?: readonly string[] | undefined;
  /** Parks idle sessions: stores them and ends their executors until their programs go on. Default: never. */
  parking?: ParkingSettings | undefined;
  /**
   * The addresses of hosts to which sessions may move, with tokens of theirs: when somebody asks for it, or when this host
   * drains. Needs `parking`. Default: none.
   */
  moveTo?: readonly string[] | undefined;
  /**
   * Takes sessions from other hosts, which show a token of this tenant; where no token is required, `default` are this
   * user's hosts. Needs `parking`. Default: takes none.
   */
  moveFrom?: string | undefined;
  /** Serve even while no GPU can be opened, say so, and keep trying. Default false. */
  withoutGpu?: boolean | undefined;
  /** The executor's program. Default: Farlight's; a test may give another. */
  executorEntry?: URL | undefined;
  /** The protocol versions to speak. A test gives older ones to act as an older host. */
  versions?: VersionRange | undefined;
}
