/** What a session has had its host do, since it began. */
export interface Work {
  /** Commands that were carried out. */
  commands: number;
  /** Those of them that the host knew, and that came as no more than a name. */
  asNames: number;
  /** Uploads and shaders that the host had from earlier, and that came as no more than a name. */
  contentsNamed: number;
  /** Their bytes. */
  bytesNotSent: number;
  /** Calls of GPUQueue.submit. */
  submits: number;
  /** Commands whose answer the program awaited: each costs it a round trip. */
  waits: number;
  /** Objects that were there already when the program made them. */
  objectsShared: number;
  /** Milliseconds that shader modules and pipelines took to make. */
  compileMs: number;
  /** Milliseconds that it would have taken to make those again that were there already. */
  compileMsSaved: number;
  /** Bytes of its buffers and textures now. */
  gpuBytes: number;
}

export function noWork(): Work {
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
  };
}
