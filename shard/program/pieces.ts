// Pieces of tensors that go from host to host, where hosts talk to each other.
import { CLIENT } from '../layout/descriptor.js';
import { hop } from '../layout/transfer.js';
import { seenIn, typeName } from '../onnx/observe.js';
import { tensorOf } from '../plan/graph.js';
import { stagesOf } from '../plan/stages.js';
import type { PlannedModel } from '../plan-model.js';
import type { Receive, Send } from './program.js';

/** One output of a host's model that another host takes as an input of its model. */
export interface Piece {
  readonly from: number;
  readonly to: number;
  /** The stage after which it is sent, and the first one that needs it. */
  readonly sentIn: number;
  readonly neededIn: number;
  readonly output: string;
  readonly receive: Receive;
}

/** The types of tensors that lie on a GPU. ONNX Runtime has all others in the client's memory. */
const ON_GPU: ReadonlySet<string> = new Set(['float32', 'float16']);

/**
 * The sends and receives of each segment, by host and stage. A line delivers pieces in the order of their sends. So a piece
 * is received no later than the pieces behind it.
 */
export function scheduleOf(pieces: readonly Piece[]) {
  const sends = new Map<string, Send[]>();
  const receives = new Map<string, Receive[]>();
  const put = <T>(into: Map<string, T[]>, host: number, stage: number, one: T) => {
    const key = segmentKey(host, stage);
    const known = into.get(key);
    if (known) known.push(one);
    else into.set(key, [one]);
  };
  const inOrder = [...pieces].sort((a, b) => a.sentIn - b.sentIn);
  const earliest = new Map<string, number>();
  const receivedIn = inOrder
    .toReversed()
    .map(({ from, to, neededIn }) => {
      const stage = Math.min(neededIn, earliest.get(`${from}>${to}`) ?? neededIn);
      earliest.set(`${from}>${to}`, stage);
      return stage;
    })
    .toReversed();
  for (const [at, { from, to, sentIn, output, receive }] of inOrder.entries()) {
    put(sends, from, sentIn, { output, to });
    put(receives, to, receivedIn[at] as number, receive);
  }
  return { sends, receives };
}

export function segmentKey(host: number, stage: number): string {
  return `${stage}/${host}`;
}

/** Why the hosts of a plan cannot send each other their tensors. Undefined if they can. */
export function whyNotDirect({ problem, choices, observed }: PlannedModel): string | undefined {
  const { graph, given, objective } = problem;
  for (const { step } of stagesOf(graph, choices, given, objective).steps) {
    const { tensor, from, to } = step;
    const { shape, bytesPerElement } = tensorOf(graph, tensor);
    const pieces = hop(from, to, shape, bytesPerElement).pieces.filter(
      (piece) => piece.from !== CLIENT && piece.to !== CLIENT,
    );
    if (pieces.length === 0) continue;
    const { dataType, varying } = seenIn(observed, tensor);
    const type = typeName(dataType);
    if (!ON_GPU.has(type)) return `"${tensor}" is of type ${type}, which lies on no GPU`;
    const stranger = pieces.find((piece) => !from.mesh.hosts.includes(piece.to));
    if (varying.length > 0 && stranger)
      return `"${tensor}" differs in shape from run to run, and host ${stranger.to} has no part of it`;
  }
  return undefined;
}
