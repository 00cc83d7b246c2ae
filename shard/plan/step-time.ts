// How long a step takes, from its plan.
import { CLIENT } from '../layout/descriptor.js';
import { throughClient } from '../layout/exchange.js';
import { hop } from '../layout/transfer.js';
import type { Link } from './costs.js';
import { type Candidate, type LogicalGraph, tensorOf } from './graph.js';
import type { Choices } from './partial-plan.js';
import type { Stages } from './stages.js';

/** The time of a step, in seconds. */
export interface StepTime {
  readonly computing: number;
  readonly moving: number;
  readonly whole: number;
}

/** The speed of hosts: operations on numbers in a second. */
export interface Speed {
  readonly operationsPerSecond: number;
}

/**
 * The time that ONNX Runtime Web and the client take for a segment and for each of its nodes, in seconds of one core.
 * Both were measured on Node 20 with models of 1 to 21 nodes, on an idle machine.
 */
const SECONDS_PER_SEGMENT = 0.6e-3;
const SECONDS_PER_NODE = 0.12e-3;

/**
 * The time that a message takes beside its line, in seconds. It is read from the GPU, handed from process to process at
 * both ends, and laid on the other GPU. Measured between two hosts that both send at once, from the end of the work before
 * to the first work that needs it. On idle hosts it is half of that.
 */
const SECONDS_PER_MESSAGE = 1e-3;

/**
 * Hosts that talk to each other wait for each other between two stages, for half a round trip and the bytes of the busiest
 * line. The client sends its parts with the first stage, and has the results with the last one: one round trip in all. Each
 * of these ways is a message. The client records the stages of all hosts ahead, so only the first one takes its time.
 */
export function secondsDirect(
  graph: LogicalGraph,
  choices: Choices,
  { ofNodes, steps, count }: Stages,
  { bitsPerSecond, roundTrip }: Link,
  { operationsPerSecond }: Speed,
): StepTime {
  const loads = [...Array(count)].map(() => new Map<string, number>());
  const add = (stage: number, line: string, bytes: number) =>
    loads[stage]?.set(line, (loads[stage]?.get(line) ?? 0) + bytes);
  const exchanges = new Set<number>();
  const results = new Map<number, number>();
  for (const { step, stage } of steps) {
    const { shape, bytesPerElement } = tensorOf(graph, step.tensor);
    for (const { from, to, bytes } of hop(step.from, step.to, shape, bytesPerElement).pieces) {
      if (to === CLIENT) {
        results.set(from, (results.get(from) ?? 0) + bytes);
        continue;
      }
      add(stage, `from ${from}`, from === CLIENT ? 0 : bytes);
      add(stage, `to ${to}`, bytes);
      if (from !== CLIENT) exchanges.add(stage);
    }
  }
  const computing = graph.nodes.reduce((sum, node, index) => {
    const share = largestShare(choices.candidates[index] as Candidate);
    return sum + (node.operations * share) / operationsPerSecond;
  }, 0);
  const most = [...loads, results].reduce((sum, load) => sum + Math.max(0, ...load.values()), 0);
  const messages = 2 + exchanges.size;
  const moving = messages * (roundTrip / 2 + SECONDS_PER_MESSAGE) + (most * 8) / bitsPerSecond;
  const nodes = ofNodes.filter((stage) => stage === 0).length;
  const preparing = SECONDS_PER_SEGMENT + SECONDS_PER_NODE * nodes;
  return { computing: computing + preparing, moving, whole: computing + preparing + moving };
}

/**
 * In each stage the client sends each host its part, waits for the slowest, and fetches the inputs of the next stage.
 * (Bulk-synchronous steps: Valiant, 1990.)
 */
export function secondsByClient(
  graph: LogicalGraph,
  choices: Choices,
  { ofNodes, steps, count }: Stages,
  { bitsPerSecond, roundTrip }: Link,
  { operationsPerSecond }: Speed,
): StepTime {
  const stages = [...Array(count)].map(() => ({
    operations: 0,
    nodes: new Map<number, number>(),
    up: new Map<number, number>(),
    down: new Map<number, number>(),
  }));
  const add = (into: Map<number, number> | undefined, bytes: ReadonlyMap<number, number>) => {
    for (const [host, more] of bytes) into?.set(host, (into.get(host) ?? 0) + more);
  };
  for (const { step, stage } of steps) {
    const { tensor, from, to } = step;
    const { shape, bytesPerElement } = tensorOf(graph, tensor);
    const { up, down } = throughClient(from, to, shape, bytesPerElement);
    add(stages[stage]?.down, down);
    add(stages[down.size > 0 && up.size > 0 ? stage - 1 : stage]?.up, up);
  }
  for (const [index, node] of graph.nodes.entries()) {
    const stage = stages[ofNodes[index] as number];
    const candidate = choices.candidates[index] as Candidate;
    if (stage) stage.operations += node.operations * largestShare(candidate);
    add(stage?.nodes, new Map(candidate.mesh.hosts.map((host) => [host, 1])));
  }
  const most = (bytes: ReadonlyMap<number, number>) => Math.max(0, ...bytes.values());
  const computing = stages.reduce(
    (sum, { operations, nodes }) =>
      sum + operations / operationsPerSecond + SECONDS_PER_SEGMENT + SECONDS_PER_NODE * most(nodes),
    0,
  );
  const moving = stages.reduce(
    (sum, { up, down }) =>
      sum + roundTrip + 2 * SECONDS_PER_MESSAGE + ((most(up) + most(down)) * 8) / bitsPerSecond,
    0,
  );
  return { computing, moving, whole: computing + moving };
}

/** One host computes all, with one round trip of the inputs and the outputs, which have so many bytes. */
export function secondsAlone(
  { nodes }: LogicalGraph,
  bytes: number,
  { bitsPerSecond, roundTrip }: Link,
  { operationsPerSecond }: Speed,
): number {
  const operations = nodes.reduce((sum, node) => sum + node.operations, 0);
  const preparing = SECONDS_PER_SEGMENT + SECONDS_PER_NODE * nodes.length;
  const moving = roundTrip + 2 * SECONDS_PER_MESSAGE + (bytes * 8) / bitsPerSecond;
  return operations / operationsPerSecond + preparing + moving;
}

/** The largest share of a node's work that one host does. */
function largestShare({ mesh, signatures }: Candidate): number {
  return signatures.reduce((share, { inputs, outputs }, axis) => {
    if ([...inputs, ...outputs].every((placement) => placement === 'B')) return share;
    // If the inputs lie in terms, each host does the whole work on its term.
    if (!inputs.some((placement) => typeof placement === 'number')) return share;
    const weights = mesh.weights[axis] as readonly number[];
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return (share * Math.max(...weights)) / total;
  }, 1);
}
