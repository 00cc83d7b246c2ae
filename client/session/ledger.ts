/** Plain counters of a GPU, from its first session's start. */
export interface Stats {
  /** Calls of WebGPU methods. */
  apiCalls: number;
  /** Those that returned without anything having to come back from the host. */
  answeredLocally: number;
  /** Commands that crossed the network. */
  commandsSent: number;
  /** Those of them that the host knew, and that were sent as no more than a name. */
  sentAsNames: number;
  /** Uploads and shaders that the host had from earlier, and that were sent as no more than a name. */
  contentsNamed: number;
  /** Their bytes. */
  bytesNotSent: number;
  /** Messages that carried the commands. */
  messagesSent: number;
  /** Replies from the host that something awaited: each costs a round trip. */
  waits: number;
  /** Those that cost none, since the host's reply to an earlier one had brought what they are for. */
  waitsSaved: number;
  /** Bytes that came so, and that the program has read. */
  bytesAhead: number;
  /** Bytes that came so in vain. */
  bytesAheadWasted: number;
  /** Bytes of messages to the host. */
  bytesUp: number;
  /** Those of them that compression kept off the wire. */
  bytesSavedUp: number;
  /** Bytes of messages from the host. */
  bytesDown: number;
  /** Those of them that compression kept off the wire. */
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
