// Makes a program of a plan: stage by stage, node by node, each on the hosts of its mesh.
import { CLIENT, type Descriptor, keyOf, type Part, partsOf } from '../layout/descriptor.js';
import { type Box, type Exchange, exchange } from '../layout/exchange.js';
import { elementsOf, intersection, lengthsOf, type Region } from '../layout/region.js';
import type { Constant } from '../onnx/constants.js';
import { localize } from '../onnx/localize.js';
import { seenIn } from '../onnx/observe.js';
import { wantedBy } from '../plan/candidates.js';
import { type Candidate, type LogicalNode, tensorOf } from '../plan/graph.js';
import { AT_CLIENT, type Move } from '../plan/partial-plan.js';
import { stagesOf, valueKey } from '../plan/stages.js';
import type { PlannedModel } from '../plan-model.js';
import { joinBoxes } from './boxes.js';
import { LocalModel, type LocalTensor } from './local-model.js';
import type { Output, Program, Put, Segment } from './program.js';
import { cutBytes } from './values.js';

/** Makes the program of a plan whose tensors go by way of the client. */
export function programOf(planned: PlannedModel, constants: ReadonlyMap<string, Constant>): Program {
  return new ProgramBuilder(planned, constants).build();
}

/** A segment while it is put together. `local` has the names of the tensors in its model, by the key of the value. */
interface Draft {
  readonly host: number;
  readonly stage: number;
  readonly model: LocalModel;
  readonly local: Map<string, string>;
  readonly puts: Put[];
  readonly inputs: Map<string, string>;
  readonly keeps: Map<string, string>;
  readonly fetches: { output: string; slot: number }[];
}

class ProgramBuilder {
  readonly #planned: PlannedModel;
  readonly #constants: ReadonlyMap<string, Constant>;
  readonly #drafts = new Map<string, Draft>();
  readonly #moves = new Map<string, Move>();
  readonly #exchanges = new Map<string, Exchange>();
  readonly #slots = new Map<string, number>();
  /** By host and key, the stage in which the host first has a value. */
  readonly #stageOf = new Map<string, number>();
  /** By host and name, the last stage that takes a value. */
  readonly #lastUse = new Map<string, number>();
  /** By tensor, the keys of the descriptors in which it lies. */
  readonly #ways = new Map<string, string[]>();

  constructor(planned: PlannedModel, constants: ReadonlyMap<string, Constant>) {
    this.#planned = planned;
    this.#constants = constants;
    for (const move of planned.choices.moves) this.#moves.set(valueKey(move.tensor, move.to), move);
  }

  build(): Program {
    const { problem, choices, operators } = this.#planned;
    const { graph, given } = problem;
    for (const { proto } of operators)
      if (proto.attribute.some(({ g, graphs }) => g || graphs.length > 0))
        throw new RangeError(
          `node "${proto.name}" (${proto.opType}) has graphs of its own, and such models run on one host only`,
        );
    const { ofNodes, ofMoves, count } = stagesOf(graph, choices, given);
    for (let stage = 0; stage < count; stage += 1)
      for (const [index, node] of graph.nodes.entries())
        if (ofNodes[index] === stage) this.#addNode(index, node, stage);
    const outputs = new Map<string, Output>();
    for (const name of graph.outputs) {
      const to = given.get(name) ?? AT_CLIENT;
      const index = choices.moves.findIndex(({ tensor, node }) => tensor === name && !node);
      const move = choices.moves[index];
      outputs.set(name, this.#output(name, to, move, ofMoves[index]));
    }
    const segments = [...this.#drafts.values()].map((draft, number) => this.#segment(draft, number));
    const states = new Map(
      [...given]
        .filter(([name]) => graph.inputs.includes(name))
        .map(([name, descriptor]) => [this.#name(name, descriptor), name]),
    );
    return { segments, stages: count, outputs, states, slots: this.#slots.size };
  }

  #addNode(index: number, node: LogicalNode, stage: number): void {
    const candidate = this.#planned.choices.candidates[index] as Candidate;
    const operator = this.#planned.operators[index];
    if (!operator) throw new Error('Farlight bug: each node of a graph has its operator');
    const { proto, view } = operator;
    const inputs = wantedBy(node, candidate, 'inputs');
    const outputs = wantedBy(node, candidate, 'outputs');
    for (const host of candidate.mesh.hosts) {
      const draft = this.#draft(host, stage);
      const made = outputs.map(({ name, descriptor }) => {
        const [key, value] = [valueKey(name, descriptor), this.#name(name, descriptor)];
        draft.local.set(key, value);
        this.#stageOf.set(`${host}/${key}`, stage);
        return value;
      });
      const shapes = (wanted: typeof inputs) =>
        wanted.map(({ name, descriptor }) => lengthsOf(this.#part(host, name, descriptor).region));
      const changes = localize(view, spread(proto.input, shapes(inputs)), shapes(outputs));
      const local = spread(proto.input, inputs).map((wanted, at) => {
        const numbers = changes.inputs.get(at);
        if (numbers) return draft.model.addNumbers(numbers);
        return wanted ? this.#take(draft, wanted.name, wanted.descriptor) : '';
      });
      draft.model.addNode(
        proto,
        local,
        spread(proto.output, made).map((name) => name ?? ''),
        changes.attributes,
      );
    }
  }

  /** The name in a draft's model of a value that it needs. */
  #take(draft: Draft, tensor: string, descriptor: Descriptor): string {
    const key = valueKey(tensor, descriptor);
    const { host, stage } = draft;
    const local = draft.local.get(key);
    if (local !== undefined) return local;
    let name: string;
    const madeIn = this.#stageOf.get(`${host}/${key}`);
    if (this.#planned.problem.graph.weights.has(tensor)) name = this.#weight(draft, tensor, descriptor);
    else if (madeIn !== undefined) {
      name = this.#stored(this.#draft(host, madeIn), key, tensor, descriptor);
      this.#input(draft, name, this.#localTensor(tensor, this.#part(host, tensor, descriptor).region));
    } else {
      const move = this.#moves.get(key);
      const { region } = this.#part(host, tensor, descriptor);
      name = move
        ? this.#assemble(draft, move)
        : this.#put(draft, this.#name(tensor, descriptor), tensor, region, { input: tensor, region });
      this.#stageOf.set(`${host}/${key}`, stage);
    }
    draft.local.set(key, name);
    return name;
  }

  /** The name under which a value that a draft has stays on the host. */
  #stored(draft: Draft, key: string, tensor: string, descriptor: Descriptor): string {
    const local = draft.local.get(key) as string;
    const input = draft.inputs.get(local);
    if (input !== undefined) return input;
    const value = this.#name(tensor, descriptor);
    draft.model.addOutput(local);
    draft.keeps.set(local, value);
    return value;
  }

  #input(draft: Draft, value: string, tensor: LocalTensor): void {
    if (draft.inputs.has(value)) return;
    draft.inputs.set(value, value);
    draft.model.addInput(value, tensor);
    this.#lastUse.set(`${draft.host}/${value}`, draft.stage);
  }

  #put(draft: Draft, value: string, tensor: string, region: Region, source: Put['source']): string {
    draft.puts.push({ value, source });
    this.#input(draft, value, this.#localTensor(tensor, region));
    return value;
  }

  /** A host's part of a weight. If weights lie in terms, the first term has the values, and the others are zero. */
  #weight({ host, model }: Draft, tensor: string, descriptor: Descriptor): string {
    const constant = this.#constants.get(tensor);
    if (!constant) throw new Error(`Farlight bug: the values of "${tensor}" are not known`);
    const { region, term } = this.#part(host, tensor, descriptor);
    const name = this.#name(tensor, descriptor);
    const { bytesPerElement } = tensorOf(this.#planned.problem.graph, tensor);
    const part = cutBytes(constant.data, constant.shape, region, bytesPerElement);
    const data = term === 0 ? part : new Uint8Array(part.byteLength);
    model.addWeight(name, { dataType: constant.dataType, shape: lengthsOf(region), data });
    return name;
  }

  /** A host's part of a tensor that is laid anew: what it keeps, and what the client sends. */
  #assemble(draft: Draft, move: Move): string {
    const { host, model } = draft;
    const { tensor, from, to } = move;
    const { region } = this.#part(host, tensor, to);
    const name = this.#name(tensor, to);
    const boxes = this.#exchange(move).boxes.filter(({ receiver }) => receiver === host);
    const parts = boxes.map((box, index) => {
      const terms: string[] = [];
      if (box.sent.length > 0)
        terms.push(this.#put(draft, `${name}<${index}`, tensor, box.region, this.#sourceOf(move, box)));
      if (box.kept !== undefined) terms.push(this.#cut(draft, tensor, from, box.region));
      return { region: box.region, name: model.add(terms) };
    });
    if (parts.length > 0) return joinBoxes(model, parts, region, to.placements.includes('P'));
    return this.#zeros(draft, move, region);
  }

  /** The part of a term for which a host gets nothing. */
  #zeros(draft: Draft, { tensor, from, to }: Move, region: Region): string {
    const { dataType, varying } = this.#seen(tensor);
    const { model, host } = draft;
    if (varying.length === 0) {
      const { bytesPerElement } = tensorOf(this.#planned.problem.graph, tensor);
      const name = this.#name(tensor, to);
      const data = new Uint8Array(elementsOf(region) * bytesPerElement);
      model.addWeight(name, { dataType, shape: lengthsOf(region), data });
      return model.identity(name);
    }
    // The lengths follow from the part that the host has.
    const own = from.mesh.hosts.includes(host) && intersection(this.#part(host, tensor, from).region, region);
    if (!own)
      throw new RangeError(
        `"${tensor}" differs in shape from run to run, and the plan lays zeros of it on a host that has no part of it`,
      );
    const zeros = model.zerosLike(this.#cut(draft, tensor, from, own), dataType);
    return joinBoxes(model, [{ name: zeros, region: own }], region, true);
  }

  /** A region of a tensor that a draft's host has. */
  #cut(draft: Draft, tensor: string, descriptor: Descriptor, region: Region): string {
    const own = this.#part(draft.host, tensor, descriptor).region;
    const name = this.#take(draft, tensor, descriptor);
    return draft.model.slice(name, lengthsOf(own), {
      start: region.start.map((at, axis) => at - (own.start[axis] as number)),
      end: region.end.map((at, axis) => at - (own.start[axis] as number)),
    });
  }

  #sourceOf(move: Move, { region, sent }: Pick<Box, 'region' | 'sent'>): Put['source'] {
    return move.from.mesh.hosts[0] === CLIENT
      ? { input: move.tensor, region }
      : { slots: sent.map((term) => this.#fetch(move, term, region)) };
  }

  /** The slot for a region of a term that the client fetches, after the segment in which its host has it. */
  #fetch(move: Move, term: number, region: Region): number {
    const { tensor, from } = move;
    const start = region.start.join();
    const key = `${moveKey(move)}/${term}/${start}`;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const slot = this.#slots.size;
    this.#slots.set(key, slot);
    const one = this.#exchange(move).fetches.find(
      (each) => each.term === term && each.region.start.join() === start,
    );
    if (!one) throw new Error('Farlight bug: the client sends only what it has fetched');
    const stage = this.#stageOf.get(`${one.host}/${valueKey(tensor, from)}`);
    if (stage === undefined) throw new Error(`Farlight bug: host ${one.host} never has "${tensor}"`);
    const draft = this.#draft(one.host, stage);
    const name = this.#cut(draft, tensor, from, region);
    // An input of a model cannot be its output.
    const output = draft.inputs.has(name) ? draft.model.identity(name) : name;
    draft.model.addOutput(output);
    draft.fetches.push({ output, slot });
    return slot;
  }

  #output(name: string, to: Descriptor, move: Move | undefined, stage: number | undefined): Output {
    if (to.mesh.hosts[0] === CLIENT) {
      if (!move) return { input: name };
      const boxes = this.#exchange(move).boxes.map(({ region, sent }) => ({
        region,
        slots: sent.map((term) => this.#fetch(move, term, region)),
      }));
      return { boxes };
    }
    const key = valueKey(name, to);
    const values = new Map<number, string>();
    for (const host of to.mesh.hosts) {
      const madeIn = this.#stageOf.get(`${host}/${key}`) ?? stage ?? 0;
      const draft = this.#draft(host, madeIn);
      this.#take(draft, name, to);
      const value = this.#stored(draft, key, name, to);
      this.#lastUse.set(`${host}/${value}`, Number.POSITIVE_INFINITY);
      values.set(host, value);
    }
    return { values };
  }

  #segment(draft: Draft, number: number): Segment {
    const { host, stage, model, puts, inputs, keeps, fetches } = draft;
    if (model.outputs.length === 0) {
      // Its hosts all compute the same, and another one is asked for it.
      const local = [...draft.local.values()].at(-1) as string;
      const output = model.identity(local);
      model.addOutput(output);
      keeps.set(output, `${local}/unused`);
    }
    const own = new Set([...inputs.values(), ...keeps.values()]);
    const drops = [...own].filter((value) => (this.#lastUse.get(`${host}/${value}`) ?? stage) <= stage);
    return {
      number,
      host,
      stage,
      model: model.toBytes(),
      puts,
      inputs: [...inputs],
      keeps: [...keeps],
      fetches,
      drops,
    };
  }

  #draft(host: number, stage: number): Draft {
    const key = `${stage}/${host}`;
    const known = this.#drafts.get(key);
    if (known) return known;
    const draft: Draft = {
      host,
      stage,
      model: new LocalModel(this.#planned.libraries, this.#planned.model),
      local: new Map(),
      puts: [],
      inputs: new Map(),
      keeps: new Map(),
      fetches: [],
    };
    this.#drafts.set(key, draft);
    return draft;
  }

  #exchange(move: Move): Exchange {
    const key = moveKey(move);
    const known = this.#exchanges.get(key);
    if (known) return known;
    const made = exchange(move.from, move.to, this.#seen(move.tensor).shape);
    this.#exchanges.set(key, made);
    return made;
  }

  #part(host: number, tensor: string, descriptor: Descriptor): Part {
    const { shape } = tensorOf(this.#planned.problem.graph, tensor);
    const part = partsOf(descriptor, shape).find((each) => each.host === host);
    if (!part) throw new Error(`Farlight bug: host ${host} has no part of "${tensor}"`);
    return part;
  }

  #localTensor(tensor: string, region: Region): LocalTensor {
    const { dataType, varying } = this.#seen(tensor);
    const dims = lengthsOf(region).map((size, axis) => (varying.includes(axis) ? undefined : size));
    return { dataType, dims };
  }

  #seen(tensor: string) {
    return seenIn(this.#planned.observed, tensor);
  }

  /** The name of a tensor that lies in some way. The first way has the tensor's own name. */
  #name(tensor: string, descriptor: Descriptor): string {
    const ways = this.#ways.get(tensor) ?? [];
    this.#ways.set(tensor, ways);
    const key = keyOf(descriptor);
    if (!ways.includes(key)) ways.push(key);
    const way = ways.indexOf(key);
    return way === 0 ? tensor : `${tensor}~${way}`;
  }
}

/** The values by the names that stand for them. Omitted inputs and outputs have empty names, and no values. */
function spread<T>(names: readonly string[], values: readonly T[]): (T | undefined)[] {
  let next = 0;
  return names.map((name) => (name ? values[next++] : undefined));
}

function moveKey({ tensor, from, to }: Move): string {
  return `${valueKey(tensor, from)}>${keyOf(to)}`;
}
