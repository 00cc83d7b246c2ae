import { isIP } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';

/** What node:os says of the machine: `hostname()` and `networkInterfaces()`. */
export interface Machine {
  hostname: string;
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;
}

/** Of ASCII letters, digits, hyphens and underscores, as names in certificates are. */
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$/;

/**
 * The names and addresses by which clients may call the machine: what the host's certificate is for.
 *
 * @param listen the host that --listen names, without brackets.
 */
export function machineNames({ hostname, interfaces }: Machine, listen: string): string[] {
  const named = isWildcard(listen) ? [] : [listen];
  const names = [...named, hostname, 'localhost', '127.0.0.1', '::1', ...addresses(interfaces)];
  return [...new Set(names)].filter((name) => isIP(name) !== 0 || HOST_NAME.test(name));
}

/**
 * The one name to print for clients: what --listen says, or where that stands for every address, the machine's
 * first one that others can reach, or its name.
 */
export function namedForClients({ hostname, interfaces }: Machine, listen: string): string {
  if (!isWildcard(listen)) return listen;
  const all = addresses(interfaces);
  return all.find((address) => isIP(address) === 4) ?? (hostname || all[0] || 'localhost');
}

export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || /^[0:]*::[0:]*$/.test(host);
}

/** Link-local addresses mean nothing without a zone, which no address of a host has. */
function addresses(interfaces: Machine['interfaces']): string[] {
  const all = Object.values(interfaces).flatMap((each) => each ?? []);
  return all
    .filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address))
    .map((each) => each.address);
}
