/** A GPUCopyExternalImageSourceInfo whose image can be read: outside of a page each is read as it is. */
export function withReadable(info: unknown): unknown {
  return info;
}
