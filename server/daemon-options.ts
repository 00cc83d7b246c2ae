import type { Silence, VersionRange } from '../proto/handshake.js';
import type { KeptContentsOptions } from './daemon/tenants/tenant-contents.js';
import type { Log } from './observatory/log.js';
import type { TlsFiles } from './trust/host-tls.js';
import type { TenantLimits } from './trust/tenant-limits.js';

export interface DaemonOptions {
  /**
   * `HOST:PORT`, where port 0 is any free one: plaintext on loopback, TLS with tokens elsewhere; `grpcs://HOST:PORT`
   * for those on loopback too; or `unix:/PATH`. Default 127.0.0.1:7070.
   */
  listen?: string | undefined;
  /** Ask for a token, and so speak TLS, on loopback too. Default false. */
  requireToken?: boolean | undefined;
  /**
   * Let other users of this machine than the host's own see the dashboard, and use the host where no token is asked for,
   * each as a tenant of its own. Default false.
   */
  allowLocalUsers?: boolean | undefined;
  /**
   * HOST:PORT where clients reach a proxy that ends TLS in front of the host. The host then listens in plaintext on
   * loopback, and asks for tokens all the same. Default: none.
   */
  behindProxy?: string | undefined;
  /** What is shown in TLS. Default: a certificate that the host makes. */
  tlsFiles?: TlsFiles | undefined;
  /** Where the host's own certificate and its tokens are. Default: the user's private folder for them. */
  trustFolder?: string | undefined;
  /** How often the certificate is looked at, in milliseconds. Default: once a day. */
  certificateCheckMs?: number | undefined;
  /** What the executors open: `auto` (default), `software`, `null`, or a part of an adapter's name. */
  adapter?: string | undefined;
  /** How many executors are kept warm. Default 1. */
  spares?: number | undefined;
  /** How many executors are kept for the next session of the program that they served last. Default 4. */
  kept?: number | undefined;
  /** How many sessions may be open at a time. Default 64. */
  maxSessions?: number | undefined;
  /** How long a session outlives its connection, in milliseconds. Default 30 s. */
  resumeMs?: number | undefined;
  /** When a client that says nothing is taken for gone. Default: after 60 s, asked every 20 s. */
  silence?: Silence | undefined;
  /** How long an executor may be busy without a pause, in milliseconds, before it is ended. Default 120 s. */
  busyMs?: number | undefined;
  /** Bytes of the machine's memory that an executor may have; 0: all. Default: half of what the machine has. */
  executorBytes?: number | undefined;
  /** Bytes of it that all executors may have; 0: all. Default: three quarters of it, or `executorBytes` where that is more. */
  executorsBytes?: number | undefined;
  /** How long the GPU may take for what a session submitted, in milliseconds; 0: as long as it likes. Default 120 s. */
  gpuMs?: number | undefined;
  /** What each tenant may have, unless one of its tokens says otherwise. Default: what the host has. */
  tenantLimits?: TenantLimits | undefined;
  /** Where what happens is noted. Default: nowhere. */
  log?: Log | undefined;
  /** Where contents are kept for later sessions. Default: nowhere. */
  blobs?: KeptContentsOptions | undefined;
  /** Where its owner sees what it does: `HOST:PORT` on loopback, where port 0 is any free one. Default: nowhere. */
  dashboard?: string | undefined;
  /**
   * The pages that may open sessions at the dashboard's address, beside its own: `https://app.example`, as a browser
   * sends it. Default: none.
   */
  allowOrigins?: readonly string[] | undefined;
  /** Serve (and say so) although no GPU can be opened, and keep trying. Default false. */
  withoutGpu?: boolean | undefined;
  /** The executor's program; ours unless a test has another. */
  executorEntry?: URL | undefined;
  /** The protocol versions to speak; a test's way to be an older host. */
  versions?: VersionRange | undefined;
}
