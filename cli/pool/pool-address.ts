/** People may write a pool's name or its file for its address. */
export function addressOf(text: string): string {
  if (text.startsWith('pool:')) return text;
  return /^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(text) ? `pool://${text}` : `pool:${text}`;
}
