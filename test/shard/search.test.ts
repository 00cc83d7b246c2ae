import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Descriptor, keyOf, meshOf, type Placement } from '#farlight/shard/layout/descriptor.js';
import { elementsOf, wholeOf } from '#farlight/shard/layout/region.js';
import { candidatesOf, wantedBy } from '#farlight/shard/plan/candidates.js';
import { bytesByHost, TransferTable } from '#farlight/shard/plan/costs.js';
import {
  type Candidate,
  type LogicalGraph,
  type LogicalNode,
  type Signature,
  tensorOf,
} from '#farlight/shard/plan/graph.js';
import { AT_CLIENT } from '#farlight/shard/plan/partial-plan.js';
import type { Problem } from '#farlight/shard/plan/problem.js';
import { searchPlan } from '#farlight/shard/plan/search.js';
import { walkPlan } from '#farlight/shard/plan/walk.js';

/** "B,S1>P": how the inputs lie, and how the output then lies. */
function signature(text: string): Signature {
  const [inputs = '', outputs = ''] = text.split('>');
  const placement = (one: string): Placement =>
    one === 'B' || one === 'P' ? one : Number(one.replace('S', ''));
  return { inputs: inputs.split(',').map(placement), outputs: outputs.split(',').map(placement) };
}

const MATMUL = ['B,B>B', 'S0,B>S0', 'B,S1>S1', 'S1,S0>P'];
const UNARY = ['B>B', 'S0>S0', 'S1>S1'];
const ADD = ['B,B>B', 'S0,S0>S0', 'S1,S1>S1', 'P,P>P'];

class Builder {
  readonly tensors = new Map<string, { name: string; shape: number[]; bytesPerElement: number }>();
  readonly nodes: LogicalNode[] = [];
  readonly inputs: string[] = [];
  readonly weights = new Set<string>();

  tensor(name: string, shape: number[]): string {
    this.tensors.set(name, { name, shape, bytesPerElement: 4 });
    return name;
  }

  weight(name: string, shape: number[]): string {
    this.weights.add(name);
    return this.tensor(name, shape);
  }

  node(operator: string, inputs: string[], shape: number[], signatures: string[]): string {
    const name = `${operator}${this.nodes.length}`;
    this.nodes.push({
      name,
      operator,
      inputs,
      outputs: [this.tensor(`${name}.out`, shape)],
      signatures: signatures.map(signature),
      operations: 0,
    });
    return `${name}.out`;
  }

  graph(outputs: string[]): LogicalGraph {
    const { tensors, nodes, inputs, weights } = this;
    return { tensors, nodes, inputs, outputs, weights };
  }
}

const WIDTH = 64;
const LENGTH = 8;

/** Transformer layers without their norms: attention by heads, and two matrices with a GELU between. */
function transformer(layers: number): LogicalGraph {
  const builder = new Builder();
  let x = builder.tensor('x', [LENGTH, WIDTH]);
  builder.inputs.push(x);
  for (let layer = 0; layer < layers; layer += 1) {
    const weight = (name: string, rows: number, columns: number) =>
      builder.weight(`${name}${layer}`, [rows, columns]);
    const matmul = (input: string, name: string, rows: number, columns: number) =>
      builder.node('MatMul', [input, weight(name, rows, columns)], [LENGTH, columns], MATMUL);
    const project = (name: string) => matmul(x, name, WIDTH, WIDTH);
    const [q, k, v] = [project('q'), project('k'), project('v')];
    const attention = builder.node('Attention', [q, k, v], [LENGTH, WIDTH], ['B,B,B>B', 'S1,S1,S1>S1']);
    x = builder.node('Add', [x, matmul(attention, 'o', WIDTH, WIDTH)], [LENGTH, WIDTH], ADD);
    const gelu = builder.node('Gelu', [matmul(x, 'up', WIDTH, 4 * WIDTH)], [LENGTH, 4 * WIDTH], UNARY);
    x = builder.node('Add', [x, matmul(gelu, 'down', 4 * WIDTH, WIDTH)], [LENGTH, WIDTH], ADD);
  }
  return builder.graph([x]);
}

const weightBytes = (graph: LogicalGraph) =>
  [...graph.weights].reduce((sum, name) => sum + elementsOf(wholeOf(tensorOf(graph, name).shape)) * 4, 0);

/** The graph over one row of hosts, which have its inputs and want its outputs whole. */
function over(graph: LogicalGraph, hosts: number, room: number, bytesPerHop = 0): Problem {
  const mesh = meshOf([...Array(hosts).keys()]);
  const whole: Descriptor = { mesh, placements: ['B'] };
  return {
    graph,
    hosts: mesh.hosts.map((id) => ({ id, memory: (room * weightBytes(graph)) / hosts })),
    meshes: [mesh],
    given: new Map([...graph.inputs, ...graph.outputs].map((name) => [name, whole])),
    objective: { bytesPerHop, route: 'direct' },
  };
}

/** The bytes that the split by hand moves: two sums a layer over all hosts (Shoeybi et al., "Megatron-LM", arXiv 1909.08053). */
const megatron = (layers: number, hosts: number) => 2 * layers * 2 * (hosts - 1) * LENGTH * WIDTH * 4;

describe('a transformer whose weights must be split evenly', () => {
  test.each([
    [1, 2, 8192],
    [2, 4, 49_152],
    [4, 2, 32_768],
  ])('a transformer of %i layers on %i hosts moves as much as the split by hand', (layers, hosts, bytes) => {
    const plan = searchPlan(over(transformer(layers), hosts, 1));
    expect(megatron(layers, hosts)).toBe(bytes);
    expect(plan.cost).toBe(bytes);
    expect(plan.isExact).toBe(true);
    for (const held of plan.memory.values()) expect(held).toBe(weightBytes(transformer(layers)) / hosts);
  });

  test('a transformer of a hundred layers, a thousand nodes, moves as much as the split by hand', () => {
    const plan = searchPlan(over(transformer(100), 4, 1));
    expect(plan.candidates).toHaveLength(1000);
    expect(plan.cost).toBe(megatron(100, 4));
    expect(plan.isExact).toBe(true);
  });

  test('the search moves less than the split by hand if hosts have a little more room', () => {
    const plan = searchPlan(over(transformer(1), 2, 1.1));
    expect(plan.cost).toBe(6144);
    expect(plan.cost).toBeLessThan(megatron(1, 2));
  });

  test('the walk moves no fewer bytes than the search', () => {
    for (const [layers, hosts, room] of [
      [1, 2, 1.3],
      [2, 4, 1.6],
      [4, 2, 2],
    ] as const) {
      const problem = over(transformer(layers), hosts, room);
      expect(walkPlan(problem).cost).toBeGreaterThanOrEqual(searchPlan(problem).cost);
    }
  });
});

test('a model that fits nowhere is refused, with the memory that it needs', () => {
  expect(() => searchPlan(over(transformer(1), 2, 0.5))).toThrow(
    /the weights of the model \(0\.2 MiB\) do not fit on these hosts \(0\.1 MiB in all\).*give more hosts, or more memory/,
  );
});

test('a search that keeps few partial plans says that its plan may not be the best', () => {
  const plan = searchPlan(over(transformer(2), 4, 1.5), 1);
  expect(plan.isExact).toBe(false);
  expect(plan.candidates).toHaveLength(transformer(2).nodes.length);
});

/** Each choice for each node, one after the other, but for those that cost more already than the best that was found. */
function exhaustive({ graph, meshes, given, objective, hosts }: Problem): number {
  const table = new TransferTable(objective);
  let best = Number.POSITIVE_INFINITY;
  const visit = (
    index: number,
    cost: number,
    laid: ReadonlyMap<string, Descriptor[]>,
    memory: ReadonlyMap<number, number>,
  ): void => {
    if (cost >= best) return;
    const price = (name: string, to: Descriptor) =>
      Math.min(
        ...(laid.get(name) ?? []).map((from) =>
          keyOf(from) === keyOf(to) ? 0 : table.cost(tensorOf(graph, name), from, to),
        ),
      );
    const node = graph.nodes[index];
    if (!node) {
      const ends = graph.outputs.map((name) => price(name, given.get(name) ?? AT_CLIENT));
      best = Math.min(
        best,
        ends.reduce((sum, one) => sum + one, cost),
      );
      return;
    }
    for (const candidate of candidatesOf(graph, node, meshes)) play(candidate);

    function play(candidate: Candidate): void {
      const now = new Map(laid);
      const room = new Map(memory);
      let sum = cost;
      for (const { name, descriptor } of wantedBy(node as LogicalNode, candidate, 'inputs')) {
        const ways = now.get(name) ?? [];
        if (ways.some((way) => keyOf(way) === keyOf(descriptor))) continue;
        if (graph.weights.has(name))
          for (const [host, bytes] of bytesByHost(tensorOf(graph, name), descriptor))
            room.set(host, (room.get(host) ?? 0) + bytes);
        else sum += Math.min(...ways.map((from) => table.cost(tensorOf(graph, name), from, descriptor)));
        now.set(name, [...ways, descriptor]);
      }
      for (const { id, memory: most } of hosts) if ((room.get(id) ?? 0) > most) return;
      for (const { name, descriptor } of wantedBy(node as LogicalNode, candidate, 'outputs'))
        now.set(name, [descriptor]);
      visit(index + 1, sum, now, room);
    }
  };
  visit(0, 0, new Map(graph.inputs.map((name) => [name, [given.get(name) ?? AT_CLIENT]])), new Map());
  return best;
}

/** Graphs of up to ten nodes, whose tensors are square, with whatever each node takes chosen at random. */
const graphs = fc
  .record({
    size: fc.constantFrom(2, 3, 4),
    nodes: fc.array(
      fc.record({
        kind: fc.constantFrom('MatMul', 'MatMulOfTwo', 'Unary', 'Add'),
        takes: fc.tuple(fc.nat(9), fc.nat(9)),
        weight: fc.nat(3),
        signature: fc.integer({ min: 1, max: 3 }),
      }),
      { minLength: 1, maxLength: 10 },
    ),
    outputs: fc.array(fc.nat(9), { minLength: 1, maxLength: 2 }),
  })
  .map(({ size, nodes, outputs }) => {
    const builder = new Builder();
    const shape = [size, size];
    const made = [builder.tensor('in', shape)];
    builder.inputs.push('in');
    for (const { kind, takes, weight, signature: chosen } of nodes) {
      // All choices of all signatures are too many for long graphs: there each node has two of its own.
      const some = (all: string[]) =>
        nodes.length <= 4 ? all : [all[0] as string, all[Math.min(chosen, all.length - 1)] as string];
      const [a, b] = takes.map((at) => made[at % made.length] as string) as [string, string];
      if (kind === 'MatMul')
        made.push(builder.node(kind, [a, builder.weight(`w${weight}`, shape)], shape, some(MATMUL)));
      else if (kind === 'Unary') made.push(builder.node(kind, [a], shape, some(UNARY)));
      else made.push(builder.node(kind, [a, b], shape, some(kind === 'Add' ? ADD : MATMUL)));
    }
    return builder.graph([...new Set(outputs.map((at) => made[at % made.length] as string))]);
  });

const problems = fc
  .record({
    graph: graphs,
    meshes: fc.constantFrom(
      [meshOf([0, 1])],
      [meshOf([0, 1]), meshOf([0])],
      [meshOf([0]), meshOf([1])],
      [meshOf([0, 1], [2], [[1, 2]])],
    ),
    room: fc.constantFrom(Number.POSITIVE_INFINITY, 1.5, 1.1, 1),
    bytesPerHop: fc.constantFrom(0, 5, 100),
    isGiven: fc.boolean(),
  })
  .map(({ graph, meshes, room, bytesPerHop, isGiven }): Problem => {
    const whole: Descriptor = { mesh: meshes[0] as Problem['meshes'][number], placements: ['B'] };
    return {
      graph,
      meshes,
      hosts: [0, 1].map((id) => ({
        id,
        memory: room === Number.POSITIVE_INFINITY ? room : (room * weightBytes(graph)) / 2,
      })),
      given: new Map(isGiven ? [...graph.inputs, ...graph.outputs].map((name) => [name, whole]) : []),
      objective: { bytesPerHop, route: 'direct' },
    };
  });

/** The long form wants thousands; a graph of ten nodes has up to a million plans. */
const RUNS = Number(process.env.FARLIGHT_PROPERTY_RUNS ?? 60);

test(
  'the search finds the best of all plans on random graphs',
  () => {
    fc.assert(
      fc.property(problems, (problem) => {
        const least = exhaustive(problem);
        if (least === Number.POSITIVE_INFINITY) expect(() => searchPlan(problem)).toThrow(RangeError);
        else {
          const plan = searchPlan(problem);
          expect(plan.cost).toBe(least);
          expect(plan.isExact).toBe(true);
        }
      }),
      { numRuns: RUNS },
    );
  },
  60_000 + RUNS * 1000,
);

test('the plan of the walk costs the sum of its moves, and never less than that of the search', () => {
  fc.assert(
    fc.property(problems, (problem) => {
      let walk: ReturnType<typeof walkPlan>;
      try {
        walk = walkPlan(problem);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        return;
      }
      const table = new TransferTable(problem.objective);
      const paid = walk.moves.reduce(
        (sum, { tensor, from, to }) => sum + table.cost(tensorOf(problem.graph, tensor), from, to),
        0,
      );
      expect(walk.cost).toBe(paid);
      expect(walk.cost).toBeGreaterThanOrEqual(searchPlan(problem).cost);
    }),
    { numRuns: 60 },
  );
}, 60_000);
