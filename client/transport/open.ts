import { findNear } from '../../link/address/near-address.js';
import { isPoolAddress, isPortalAddress } from '../../link/address/pool-address.js';
import { clientCertificate } from '../../link/dial/client-certificate.js';
import { HostAddress, parseHostAddress } from '../../link/dial/host-address.js';
import { noHost } from '../../link/dial/socket-errors.js';
import { openUnixSocket } from '../../link/dial/verify-peer.js';
import { native } from '../../link/machine/globals.js';
import { packageFile } from '../../link/machine/package-files.js';
import { type RuntimeName, runtimeName } from '../../link/machine/runtime.js';
import { nearCarrier } from '../../link/near/near-carrier.js';
import { SharedFrames } from '../../link/near/shared-frames.js';
import { FarlightError } from '../../proto/errors.js';
import type { CompressionMode } from '../../proto/session/compression.js';
import type { Moved } from '../../proto/session/handshake.js';
import { type Dialer, HostLink, type HostOptions, type LinkOptions } from './host-link.js';
import { NearLink } from './near-link.js';
import { privateHost } from './private-host.js';
import type { Transport } from './transport.js';
import { WorkerLink } from './worker-link.js';

export interface OpenOptions {
  /** The adapter that a private host opens; FARLIGHT_ADAPTER where absent, and `auto` without that. */
  adapter?: string | undefined;
  /** When frames to and from a host are compressed; 'auto' where absent. */
  compression?: CompressionMode | 'off' | undefined;
}

/**
 * Chooses the way to a host: to the one at `target`, or to a private host on this machine.
 *
 * @throws FarlightError BAD_URL where the address is not one, BAD_OPTION where this runtime starts no private host.
 */
export function openTransport(target: string | undefined, options: OpenOptions = {}): Transport {
  if (target) return remoteHost(target, { compression: options.compression });
  if (runtimeName() !== 'Node') throw noPrivateHost(runtimeName());
  return privateHost({ adapter: options.adapter || process.env.FARLIGHT_ADAPTER || undefined });
}

/**
 * As `openTransport`, and also to a host of a pool, which is started where there is none.
 *
 * @param options `signal` gives up the wait for a host of a pool.
 * @throws FarlightError as `openTransport`; for a pool BAD_OPTION where its file is wrong, UNREACHABLE where it has no host,
 *   NOT_INSTALLED (rejects).
 */
export async function findTransport(
  target: string | undefined,
  { signal, ...options }: OpenOptions & { signal: AbortSignal },
): Promise<Transport> {
  if (!target || !isPoolAddress(target)) return openTransport(target, options);
  const { compression } = options;
  if (isPortalAddress(target)) return (await loadPortals()).attachByPortal(target, { compression, signal });
  return (await loadPools()).attach(target, { compression, signal });
}

/** Hosts that a program has until it releases them. */
export interface AllocatedHosts {
  /** An address for each host, in the order in which they were asked for. It may hold a token. */
  readonly addresses: readonly string[];
  /** After how long without use the program's pools want a host back, in milliseconds; absent for other hosts. */
  readonly idleMs?: number;
  /** Gives the hosts back, when their sessions have ended. Resolves when they know. */
  release(): Promise<void>;
}

/**
 * Gets several hosts, all or none. A pool starts hosts if it has none, and keeps them until they are released. Addresses
 * of other hosts are returned unchanged.
 *
 * @param named addresses of hosts and of pools: `pool://NAME`, or `pool://NAME?hosts=2` for two hosts. The address of a
 *   portal's pool takes `hosts=2`, too.
 * @throws FarlightError as `findTransport` (rejects).
 */
export async function allocateHosts(
  named: readonly string[],
  signal: AbortSignal = new native.AbortController().signal,
): Promise<AllocatedHosts> {
  const ofPools = named.filter(isPoolAddress);
  if (ofPools.length === 0) return { addresses: named, release: async () => {} };
  // For pools of portals alone, do without the packages that read a pool's file.
  const pools: AllocatesHosts = ofPools.every(isPortalAddress) ? await loadPortals() : await loadPools();
  const { addresses, ...rest } = await pools.allocateHosts(ofPools, signal);
  const found = [...addresses];
  return {
    addresses: named.flatMap((address) => (isPoolAddress(address) ? (found.shift() ?? []) : [address])),
    ...rest,
  };
}

/** The functions of `pool/` that the client calls. */
interface AllocatesHosts {
  allocateHosts(
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<Omit<AllocatedHosts, 'addresses'> & { addresses: string[][] }>;
}

type Attach = (address: string, options: OpenOptions & { signal: AbortSignal }) => Promise<Transport>;

/**
 * Here the client meets `pool/`. Load it by its file, as the package's processes are loaded: a bundler that saw the import
 * would take along the packages that read a pool's file.
 */
function loadPools(): Promise<AllocatesHosts & { attach: Attach }> {
  return import(packageFile('pool/attach/attach.js').href);
}

/** The same for pools of portals, which need no file. */
function loadPortals(): Promise<AllocatesHosts & { attachByPortal: Attach }> {
  return import(packageFile('pool/portal/client/attach-by-portal.js').href);
}

/**
 * Chooses the way to the host at an address. This user's host on this machine has a unix socket, and the connection to it
 * is in this thread. Every other host is reached by gRPC, and a thread of its own has the connection.
 *
 * @throws FarlightError BAD_URL where the address is not one, BAD_OPTION where the environment names a client
 *   certificate that cannot be used, NOT_INSTALLED where a bundle does not find the thread's program.
 */
export function remoteHost(url: string, options: HostOptions = {}): Transport {
  const address = parseHostAddress(url, { tls: true });
  const { scheme, host, port } = address;
  const find = () => (scheme === 'unix' ? address.path : findNear(host, port));
  if (scheme !== 'grpcs' && find() !== undefined) return nearHost(address, find, options);
  const certificate = scheme === 'grpcs' ? clientCertificate(process.env) : undefined;
  return WorkerLink.transport(address.url, { host: url, options: { certificate, ...options } });
}

/**
 * A host on this machine, which listens at a unix socket. The connection is in this thread: to wake another thread for
 * each message would cost more than it gains. Nothing is compressed.
 *
 * @param find returns the socket's path now, or undefined if there is none.
 */
export function nearHost(
  address: HostAddress,
  find: () => string | undefined,
  options: LinkOptions = {},
): Transport {
  const dialer: Dialer = {
    url: address.url,
    connect: async (how) => nearCarrier(await openNear(address, find(), how), { greets: true }),
    hungUp: async () => noHost(address, 'the server there hung up without a word'),
    form: ({ sharedFile }) => (sharedFile ? SharedFrames.offering() : undefined),
    follow: (moved) => farDialer(moved, address),
  };
  return {
    target: address.url,
    open: (hello, events, brought) =>
      new NearLink((inner) => new HostLink(dialer, options, hello, inner, brought), events),
  };
}

/** The host to which a near one has moved the session. Only then is gRPC loaded. */
function farDialer(moved: Moved, from: HostAddress): Dialer {
  const { url, scheme } = parseHostAddress(moved.address, { tls: true });
  const certificate = scheme === 'grpcs' ? clientCertificate(process.env) : undefined;
  // The connection is in the program's thread, and must not keep it alive.
  const far = async () => (await import('./network-host.js')).movedDialer(moved, from, certificate, true);
  return {
    url,
    connect: async (how) => (await far()).connect(how),
    hungUp: async (why) => (await far()).hungUp(why),
    follow: (next) => farDialer(next, from),
  };
}

/** A restarted host has another path. */
async function openNear(
  address: HostAddress,
  path: string | undefined,
  options: { timeoutMs: number; signal: AbortSignal },
) {
  if (address.scheme === 'unix') return openUnixSocket(address, options);
  if (path === undefined) throw noHost(address, 'nobody listens there');
  const near = new HostAddress({ scheme: 'unix', host: '', port: 0, path });
  return openUnixSocket(near, options).catch((error: Error) => {
    throw noHost(address, 'its unix socket does not answer', error);
  });
}

/** A private host is a process of this runtime's own, and Dawn's addon runs in Node. */
function noPrivateHost(runtime: RuntimeName): FarlightError {
  return new FarlightError(
    'BAD_OPTION',
    `no host is named, and ${runtime} starts none of its own: start the program with farlight run, which does, ` +
      `or name one in FARLIGHT_HOST, for example that of farlight serve, grpc://127.0.0.1:7070`,
  );
}
