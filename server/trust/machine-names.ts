import { isIP } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';

/** The machine as node:os describes it: `hostname()` and `networkInterfaces()`. */
export interface Machine {
  hostname: string;
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
}

/** A host name that a certificate can hold: ASCII letters, digits, hyphens, underscores and dots. */
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$/;

/**
 * The names and addresses by which clients may reach the machine. The host's certificate covers them.
 *
 * @param listen the host part of --listen, without brackets.
 */
export function machineNames({ hostname, interfaces }: Machine, listen: string): string[] {
  const named = isWildcard(listen) ? [] : [listen];
  const names = [...named, hostname, 'localhost', '127.0.0.1', '::1', ...addresses(interfaces)];
  return [...new Set(names)].filter((name) => isIP(name) !== 0 || HOST_NAME.test(name));
}

/**
 * The one name to print for clients: the host part of --listen. Where that is a wildcard, it is the machine's first
 * address that others can reach, or its host name.
 */
export function namedForClients({ hostname, interfaces }: Machine, listen: string): string {
  if (!isWildcard(listen)) return listen;
  const all = addresses(interfaces);
  return all.find((address) => isIP(address) === 4) ?? (hostname || all[0] || 'localhost');
}

/** Whether this address is that of every interface. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || /^[0:]*::[0:]*$/.test(host);
}

/** Leaves out link-local addresses: they need a zone, and a host's address has none. */
function addresses(interfaces: Machine['interfaces']): string[] {
  const all = Object.values(interfaces).flatMap((each) => each ?? []);
  return all
    .filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address))
    .map((each) => each.address);
}
