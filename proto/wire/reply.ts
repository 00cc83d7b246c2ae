/**
 * Records of a flush of replies. Each begins with its kind:
 *
 *     settled     serial, outcome; fulfilled: the operation's result; rejected: name, message,
 *                 and for a GPUPipelineError its reason
 *     uncaptured  device id, FarlightGPUError
 *     lost        device id, reason, message
 *     missing     the name of a content that a command needs and the host does not have
 *     held        the names of pipelines that the host has compiled already
 *     part        serial, bytes: the next bytes of a long result; the record `settled` after them has none
 *     activity    spans of the host's work, which the client has asked for (wire/span-report.ts)
 *     memory      FarlightMemoryState, which the client watches
 */
export const REPLY = {
  settled: 0,
  uncaptured: 1,
  lost: 2,
  missing: 3,
  held: 4,
  part: 5,
  activity: 6,
  memory: 7,
} as const;

/** The outcomes of an awaited command. */
export const OUTCOME = { fulfilled: 0, rejected: 1 } as const;

/** Why an awaited command failed, by the exception that its promise rejects with. */
export interface Rejection {
  /** A DOMException's name, `TypeError`, `RangeError`, or `GPUPipelineError`. */
  name: string;
  message: string;
  /** GPUPipelineError's reason; empty for the others. */
  reason: string;
}
