/**
 * Whether a host, as an address names it (IPv6 with or without brackets), is this machine itself: 127.0.0.0/8,
 * `::1` or `localhost`. Only whole dotted addresses count, not short forms such as `127.1`.
 */
export function isLoopback(host: string): boolean {
  return /^(localhost|\[::1\]|::1|127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3})$/i.test(host);
}
