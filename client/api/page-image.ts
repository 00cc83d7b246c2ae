/** What copyExternalImageToTexture can read of an image: outside a page each is read as it is. */
export function readable(source: unknown): unknown {
  return source;
}
