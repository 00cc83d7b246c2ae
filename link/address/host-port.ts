import { isIP } from 'node:net';

export interface HostPort {
  /** As it is written, without `://`; empty where there is none. */
  scheme: string;
  /** The host as it is written: IPv6 in brackets. */
  named: string;
  /** The same without brackets. */
  host: string;
  port: number;
}

/** An address to listen on as a person writes it: `HOST:PORT`, or `SCHEME://HOST:PORT`; undefined for other texts. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:([a-z]+):\/\/)?(\[[0-9a-f:.]+\]|[^:/[\]@?#\s]+):(\d{1,5})$/i.exec(text);
  const [, scheme = '', named = '', port = ''] = match ?? [];
  const host = named.replace(/^\[|\]$/g, '');
  if (!match || Number(port) > 65535 || (named !== host && isIP(host) !== 6)) return undefined;
  return { scheme, named, host, port: Number(port) };
}

/** The host as it stands in a URL. */
export function shownHost(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}
