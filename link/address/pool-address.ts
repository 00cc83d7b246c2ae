const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

/** Whether an address names a pool, and not a host. */
export function isPoolAddress(text: string): boolean {
  return /^pool[:+]/.test(text);
}

/** Whether it names a pool of a portal: no file of this machine says what that is. */
export function isPortalAddress(text: string): boolean {
  return text.startsWith('pool+');
}

/** Whether a text is a pool's name, and not the path of its file. */
export function isPoolName(text: string): boolean {
  return NAME.test(text);
}

/** The pool of an address, and how many of its hosts a program asks for: `pool://NAME?hosts=2`, `pool+https://…?ca=PIN&hosts=2`. */
export function hostsAsked(address: string): { pool: string; hosts: number } {
  const [, pool = address, hosts = '1'] = /^(.*)[?&]hosts=([1-9]\d{0,3})$/.exec(address) ?? [];
  return { pool, hosts: Number(hosts) };
}

/** The address of a pool. People may write its name or its file instead. */
export function poolAddress(text: string): string {
  if (isPoolAddress(text)) return text;
  return isPoolName(text) ? `pool://${text}` : `pool:${text}`;
}
