/** Counts of a GPU, from the start of its first session. */
export interface Stats {
  /** Calls of WebGPU methods. */
  apiCalls: number;
  /** Calls that returned without a reply from the host. */
  answeredLocally: number;
  /** Commands that crossed the network. */
  commandsSent: number;
  /** Commands that the host knew from a template, so that only their name was sent. */
  sentAsNames: number;
  /** Uploads and shaders that the host had already, so that only their name was sent. */
  contentsNamed: number;
  /** Bytes of those uploads and shaders. */
  bytesNotSent: number;
  /** Frames that carried the commands. */
  messagesSent: number;
  /** Replies that the program awaited. Each costs a round trip. */
  waits: number;
  /** Awaited replies that cost no round trip, because an earlier reply had brought their result. */
  waitsSaved: number;
  /** Bytes of results that came ahead and that the program has read. */
  bytesAhead: number;
  /** Bytes of results that came ahead in vain. */
  bytesAheadWasted: number;
  /** Bytes of frames to the host, before compression. */
  bytesUp: number;
  /** Bytes to the host that compression saved. */
  bytesSavedUp: number;
  /** Bytes of frames from the host, after they are unpacked. */
  bytesDown: number;
  /** Bytes from the host that compression saved. */
  bytesSavedDown: number;
}

export function emptyStats(): Stats {
  return {
    apiCalls: 0,
    answeredLocally: 0,
    commandsSent: 0,
    sentAsNames: 0,
    contentsNamed: 0,
    bytesNotSent: 0,
    messagesSent: 0,
    waits: 0,
    waitsSaved: 0,
    bytesAhead: 0,
    bytesAheadWasted: 0,
    bytesUp: 0,
    bytesSavedUp: 0,
    bytesDown: 0,
    bytesSavedDown: 0,
  };
}
