const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

/** Whether a text is a pool's name, and not the path of its file. */
export function isPoolName(text: string): boolean {
  return NAME.test(text);
}

/** The address of a pool. People may write its name or its file instead. */
export function poolAddress(text: string): string {
  if (text.startsWith('pool:')) return text;
  return isPoolName(text) ? `pool://${text}` : `pool:${text}`;
}
