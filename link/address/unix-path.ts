/** The longest path of a unix socket, in bytes. Beyond it some versions of Node use the path's beginning. */
export const LONGEST_UNIX_PATH: number = process.platform === 'linux' ? 107 : 103;

export function fitsUnixSocket(path: string): boolean {
  return Buffer.byteLength(path) <= LONGEST_UNIX_PATH;
}
