/** Counts of frames and their bytes, both ways. */
export interface Traffic {
  framesUp: number;
  framesDown: number;
  bytesUp: number;
  bytesDown: number;
}

/** Counts of a session's work on its host, since the session began. */
export interface WorkCounts {
  /** Executed commands. */
  commands: number;
  /** Executed commands that the host knew from a template, so that only their name came. */
  asNames: number;
  /** Uploads and shaders that the host had already, so that only their name came. */
  contentsNamed: number;
  /** Bytes of those uploads and shaders. */
  bytesNotSent: number;
  /** Calls of GPUQueue.submit. */
  submits: number;
  /** Commands whose reply the program awaited. Each costs a round trip. */
  waits: number;
  /** Objects that existed already when the program created them. */
  objectsShared: number;
  /** Milliseconds spent on new shader modules and pipelines. */
  compileMs: number;
  /** Milliseconds saved by shader modules and pipelines that existed already. */
  compileMsSaved: number;
  /** Bytes of the session's buffers and textures now. */
  gpuBytes: number;
  /** Bytes of GPU memory that the session has reserved and does not use now. */
  gpuReserved: number;
  /** Bytes that went over lines to sessions of other hosts, and that came from them. */
  bytesToHosts: number;
  bytesFromHosts: number;
}

export function noWork(): WorkCounts {
  return {
    commands: 0,
    asNames: 0,
    contentsNamed: 0,
    bytesNotSent: 0,
    submits: 0,
    waits: 0,
    objectsShared: 0,
    compileMs: 0,
    compileMsSaved: 0,
    gpuBytes: 0,
    gpuReserved: 0,
    bytesToHosts: 0,
    bytesFromHosts: 0,
  };
}
