// A plan in figures: the signature of each node, the bytes on each line, the bytes on each host, and the time of a step.
import { CLIENT, type Descriptor, textOf } from '../layout/descriptor.js';
import { throughClient } from '../layout/exchange.js';
import { transfer } from '../layout/transfer.js';
import { signatureText, wantedBy } from './candidates.js';
import { bytesByHost, bytesOf, type Link, type Objective, type Route, secondsOf, sumOf } from './costs.js';
import { type Candidate, type LogicalGraph, lastUses, tensorOf } from './graph.js';
import type { Choices, Move } from './partial-plan.js';
import type { Problem } from './problem.js';
import { stagesOf } from './stages.js';
import { type Speed, type StepTime, secondsAlone, secondsByClient, secondsDirect } from './step-time.js';

export interface NodeReport {
  readonly name: string;
  readonly operator: string;
  readonly hosts: readonly number[];
  /** How the node's inputs lie, and how its outputs then lie, such as "B,S1>S1". */
  readonly signature: string;
}

export interface LineReport {
  /** The number of a host, or "client". */
  readonly from: number | 'client';
  readonly to: number | 'client';
  readonly bytes: number;
}

export interface TransferReport {
  readonly tensor: string;
  /** The node that needs the tensor in this layout; undefined for an output of the program. */
  readonly node: string | undefined;
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly seconds: number;
  /** For each exchange, in order: each line with its bytes. */
  readonly hops: readonly (readonly LineReport[])[];
}

export interface HostReport {
  readonly host: number;
  /** Bytes of weights. */
  readonly weights: number;
  /** The most bytes that lie on the host at the same time, without weights. */
  readonly activations: number;
}

export interface PlanReport {
  readonly nodes: readonly NodeReport[];
  readonly transfers: readonly TransferReport[];
  readonly hosts: readonly HostReport[];
  /** Bytes of all transfers. */
  readonly bytes: number;
  /** How tensors go from host to host. */
  readonly route: Route;
  /** How many stages a step has. By way of the client it waits for each of them, and otherwise once. */
  readonly stages: number;
  readonly seconds: StepTime;
  /** The needs of one host that runs the whole model. */
  readonly oneHost: { readonly weights: number; readonly activations: number; readonly seconds: number };
  readonly isExact: boolean;
  readonly verdict: string;
}

export function reportOf(problem: Problem, choices: Choices, link: Link, speed: Speed): PlanReport {
  const { graph, hosts, objective } = problem;
  const isDirect = objective.route === 'direct';
  const transfers = choices.moves.map((move) =>
    isDirect ? directTransfer(graph, move, link, objective) : clientTransfer(graph, move, link),
  );
  const stages = stagesOf(graph, choices, problem.given, objective);
  const seconds = isDirect
    ? secondsDirect(graph, choices, stages, link, speed)
    : secondsByClient(graph, choices, stages, link, speed);
  const alone = oneHost(graph, link, speed);
  const activations = activationsByHost(problem, choices);
  return {
    nodes: graph.nodes.map((node, index) => {
      const candidate = choices.candidates[index] as Candidate;
      const { name, operator } = node;
      return { name, operator, hosts: candidate.mesh.hosts, signature: signatureText(node, candidate) };
    }),
    transfers,
    hosts: hosts.map(({ id }) => ({
      host: id,
      weights: choices.memory.get(id) ?? 0,
      activations: activations.get(id) ?? 0,
    })),
    bytes: transfers.reduce((sum, { bytes }) => sum + bytes, 0),
    route: objective.route,
    stages: stages.count,
    seconds,
    oneHost: alone,
    isExact: choices.isExact,
    verdict: verdict(problem, alone, seconds.whole),
  };
}

function directTransfer(
  graph: LogicalGraph,
  { tensor, node, from, to }: Move,
  link: Link,
  { bytesPerHop }: Objective,
): TransferReport {
  const { shape, bytesPerElement, varying } = tensorOf(graph, tensor);
  const { hops, bytes } = transfer(from, to, shape, bytesPerElement, bytesPerHop, varying);
  return {
    tensor,
    node: node?.name,
    from: placeText(from),
    to: placeText(to),
    bytes,
    seconds: hops.reduce((sum, hop) => sum + secondsOf(hop, link), 0),
    hops: hops.filter((hop) => hop.bytes > 0).map(({ pieces }) => linesOf(pieces)),
  };
}

/** By way of the client: first the bytes that it fetches, and then the bytes that it sends. */
function clientTransfer(graph: LogicalGraph, { tensor, node, from, to }: Move, link: Link): TransferReport {
  const { shape, bytesPerElement } = tensorOf(graph, tensor);
  const { up, down } = throughClient(from, to, shape, bytesPerElement);
  const most = Math.max(0, ...up.values()) + Math.max(0, ...down.values());
  const fetched = [...up].map(([host, bytes]): LineReport => ({ from: host, to: 'client', bytes }));
  const sent = [...down].map(([host, bytes]): LineReport => ({ from: 'client', to: host, bytes }));
  return {
    tensor,
    node: node?.name,
    from: placeText(from),
    to: placeText(to),
    bytes: sumOf(up) + sumOf(down),
    seconds: (most * 8) / link.bitsPerSecond + (up.size > 0 && down.size > 0 ? link.roundTrip : 0),
    hops: [fetched, sent].filter((lines) => lines.length > 0),
  };
}

/** A descriptor with its hosts: "S0 on 0,1", or "client". */
function placeText(descriptor: Descriptor): string {
  const { hosts } = descriptor.mesh;
  return hosts[0] === CLIENT ? 'client' : `${textOf(descriptor)} on ${hosts.join()}`;
}

function linesOf(pieces: readonly { from: number; to: number; bytes: number }[]): LineReport[] {
  const lines = new Map<string, { from: number | 'client'; to: number | 'client'; bytes: number }>();
  const name = (host: number) => (host === CLIENT ? 'client' : host);
  for (const { from, to, bytes } of pieces) {
    const key = `${from}>${to}`;
    const line = lines.get(key);
    if (line) line.bytes += bytes;
    else lines.set(key, { from: name(from), to: name(to), bytes });
  }
  return [...lines.values()];
}

/** The most bytes on each host at the same time, without weights. A tensor counts from its node to its last use. */
function activationsByHost({ graph, given }: Problem, { candidates, moves }: Choices): Map<number, number> {
  const last = lastUses(graph);
  const most = new Map<number, number>();
  const held = new Map<number, number>();
  const ends = new Map<number, { host: number; bytes: number }[]>();
  const hold = (name: string, descriptor: Descriptor, end: number) => {
    for (const [host, bytes] of bytesByHost(tensorOf(graph, name), descriptor)) {
      if (host === CLIENT) continue;
      held.set(host, (held.get(host) ?? 0) + bytes);
      ends.set(end, [...(ends.get(end) ?? []), { host, bytes }]);
    }
  };
  // State of an earlier run stays until the program disposes of it, beside the state that a run makes.
  for (const [name, descriptor] of given)
    if (graph.inputs.includes(name)) hold(name, descriptor, Number.POSITIVE_INFINITY);
  for (const [index, node] of graph.nodes.entries()) {
    for (const { tensor, to, node: wanting } of moves)
      if (wanting === node) hold(tensor, to, last.get(tensor) ?? index);
    for (const { name, descriptor } of wantedBy(node, candidates[index] as Candidate, 'outputs'))
      hold(name, descriptor, last.get(name) ?? index);
    for (const [host, bytes] of held) most.set(host, Math.max(most.get(host) ?? 0, bytes));
    for (const { host, bytes } of ends.get(index) ?? []) held.set(host, (held.get(host) ?? 0) - bytes);
  }
  return most;
}

/** The same model on one host: its inputs go there, and its outputs come back. */
function oneHost(graph: LogicalGraph, link: Link, speed: Speed): PlanReport['oneHost'] {
  const sum = (names: Iterable<string>) =>
    [...names].reduce((total, name) => total + bytesOf(tensorOf(graph, name)), 0);
  const last = lastUses(graph);
  let held = sum(graph.inputs);
  let activations = held;
  for (const [index, node] of graph.nodes.entries()) {
    held += sum(node.outputs);
    activations = Math.max(activations, held);
    held -= sum(
      [...new Set([...node.inputs, ...node.outputs])].filter(
        (name) => (last.get(name) ?? index) === index && !graph.weights.has(name),
      ),
    );
  }
  return {
    weights: sum(graph.weights),
    activations,
    seconds: secondsAlone(graph, sum(graph.inputs) + sum(graph.outputs), link, speed),
  };
}

function verdict({ hosts }: Problem, alone: PlanReport['oneHost'], seconds: number): string {
  const largest = Math.max(...hosts.map(({ memory }) => memory));
  const ms = (time: number) => `${(time * 1000).toFixed(time < 0.1 ? 2 : 0)} ms`;
  if (alone.weights > largest)
    return `it does not fit on one host: over ${hosts.length} a step takes ${ms(seconds)}`;
  if (seconds < alone.seconds)
    return `it pays: a step takes ${ms(seconds)} over ${hosts.length} hosts, and ${ms(alone.seconds)} on one`;
  return `it does not pay: a step takes ${ms(seconds)} over ${hosts.length} hosts, and ${ms(alone.seconds)} on one, where the model fits`;
}
