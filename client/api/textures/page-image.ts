/** Outside a page, every image that is accepted can be read as it is. */
export function withReadable(info: unknown): unknown {
  return info;
}
