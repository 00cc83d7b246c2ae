/** A page does not end by itself. */
export function beforeProcessEnds(): () => void {
  return () => {};
}
