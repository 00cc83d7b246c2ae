// Makes a program of a plan: stage by stage, node by node, each on the hosts of its mesh.
import { CLIENT, type Descriptor, keyOf } from '../layout/descriptor.js';
import { type Box, type Exchange, exchange } from '../layout/exchange.js';
import { elementsOf, intersection, lengthsOf, type Region } from '../layout/region.js';
import { type Delivery, deliveries } from '../layout/transfer.js';
import type { Constant } from '../onnx/constants.js';
import { localize } from '../onnx/localize.js';
import { typeName } from '../onnx/observe.js';
import { wantedBy } from '../plan/candidates.js';
import { type Candidate, type LogicalNode, tensorOf } from '../plan/graph.js';
import { AT_CLIENT } from '../plan/partial-plan.js';
import { type Step, stagesOf, valueKey } from '../plan/stages.js';
import type { PlannedModel } from '../plan-model.js';
import { cutBytes } from '../run/values.js';
import { joinBoxes } from './boxes.js';
import { Draft } from './draft.js';
import { Parts } from './parts.js';
import { type Piece, scheduleOf, segmentKey } from './pieces.js';
import type { Output, Program, Put } from './program.js';

/** The lengths of what these give follow from values, so that no plan knows them. */
const SHAPED_BY_VALUES: ReadonlySet<string> = new Set(['Compress', 'NonMaxSuppression', 'NonZero', 'Unique']);

/** Makes the program of a plan. `whyNotDirect` must be undefined if hosts talk to each other in it. */
export function programOf(planned: PlannedModel, constants: ReadonlyMap<string, Constant>): Program {
  return new ProgramBuilder(planned, constants).build();
}

class ProgramBuilder {
  readonly #planned: PlannedModel;
  readonly #constants: ReadonlyMap<string, Constant>;
  readonly #drafts = new Map<string, Draft>();
  /** By the key of the value that a step makes: the step, and the stage when its hosts have the value. */
  readonly #steps = new Map<string, { readonly step: Step; readonly stage: number }>();
  readonly #pieces: Piece[] = [];
  readonly #reads: { host: number; value: string; slot: number }[] = [];
  readonly #exchanges = new Map<string, Exchange>();
  readonly #slots = new Map<string, number>();
  /** By host and key, the stage in which the host first has a value. */
  readonly #stageOf = new Map<string, number>();
  /** By host and name, the draft with which the client sends a value. */
  readonly #sentWith = new Map<string, Draft>();
  /** By host and name, the last stage that takes a value. */
  readonly #lastUse = new Map<string, number>();
  readonly #parts: Parts;

  constructor(planned: PlannedModel, constants: ReadonlyMap<string, Constant>) {
    this.#planned = planned;
    this.#constants = constants;
    this.#parts = new Parts(planned);
  }

  build(): Program {
    const { problem, choices, operators } = this.#planned;
    const { graph, given, objective } = problem;
    for (const { proto, isOfValues } of operators) {
      const hasGraphs = proto.attribute.some(({ g, graphs }) => g || graphs.length > 0);
      if (!hasGraphs && !(isOfValues && SHAPED_BY_VALUES.has(proto.opType))) continue;
      const what = hasGraphs ? 'has graphs of its own' : 'gives as many elements as its values say';
      throw new RangeError(
        `node "${proto.name}" (${proto.opType}) ${what}, and such models run on one host only`,
      );
    }
    const { ofNodes, steps, count } = stagesOf(graph, choices, given, objective);
    for (const each of steps) this.#steps.set(valueKey(each.step.tensor, each.step.to), each);
    for (let stage = 0; stage < count; stage += 1)
      for (const [index, node] of graph.nodes.entries())
        if (ofNodes[index] === stage) this.#addNode(index, node, stage);
    const outputs = new Map<string, Output>();
    for (const name of graph.outputs) {
      const to = given.get(name) ?? AT_CLIENT;
      outputs.set(name, this.#output(name, to, this.#steps.get(valueKey(name, to))));
    }
    const schedule = scheduleOf(this.#pieces);
    const segments = [...this.#drafts.values()]
      .sort((a, b) => a.stage - b.stage)
      .map((draft, number) => draft.segment(number, schedule));
    const states = new Map(
      [...given]
        .filter(([name]) => graph.inputs.includes(name))
        .map(([name, descriptor]) => [this.#parts.name(name, descriptor), name]),
    );
    const [{ route }, reads, slots] = [objective, this.#reads, this.#slots.size];
    return { route, segments, stages: count, reads, outputs, states, slots };
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
        const [key, value] = [valueKey(name, descriptor), this.#parts.name(name, descriptor)];
        draft.local.set(key, value);
        this.#stageOf.set(`${host}/${key}`, stage);
        return value;
      });
      const shapes = (wanted: typeof inputs) =>
        wanted.map(({ name, descriptor }) => lengthsOf(this.#parts.of(host, name, descriptor).region));
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
    const arrives = this.#steps.get(key);
    // Other hosts may need it from here before this host needs it.
    const isFromHosts = arrives && !isOfClient(arrives.step);
    if (isFromHosts && arrives.stage < stage && !this.#stageOf.has(`${host}/${key}`))
      this.#take(this.#draft(host, arrives.stage), tensor, descriptor);
    const madeIn = this.#stageOf.get(`${host}/${key}`);
    if (this.#planned.problem.graph.weights.has(tensor)) name = this.#weight(draft, tensor, descriptor);
    else if (madeIn !== undefined && madeIn <= stage) {
      name = this.#stored(this.#draft(host, madeIn), key, tensor, descriptor);
      draft.input(name, this.#parts.local(tensor, this.#parts.of(host, tensor, descriptor).region));
    } else {
      const { region } = this.#parts.of(host, tensor, descriptor);
      name = arrives
        ? this.#assemble(draft, arrives.step)
        : this.#put(draft, this.#parts.name(tensor, descriptor), tensor, region, { input: tensor, region });
      // Later segments take what the first one that was found has kept.
      if (madeIn === undefined) this.#stageOf.set(`${host}/${key}`, stage);
    }
    draft.local.set(key, name);
    return name;
  }

  /** The name under which a value of a draft stays on the host. */
  #stored(draft: Draft, key: string, tensor: string, descriptor: Descriptor): string {
    return draft.keep(draft.local.get(key) as string, this.#parts.name(tensor, descriptor));
  }

  /** A value that the client sends, once: with the earliest segment of its host that takes it. */
  #put(draft: Draft, value: string, tensor: string, region: Region, source: Put['source']): string {
    const key = `${draft.host}/${value}`;
    const before = this.#sentWith.get(key);
    if (before && before.stage <= draft.stage) {
      draft.input(value, this.#parts.local(tensor, region));
      return value;
    }
    before?.sendEarlier(value);
    this.#sentWith.set(key, draft);
    draft.put(value, this.#parts.local(tensor, region), source);
    return value;
  }

  /** A host's part of a weight. If weights lie in terms, the first term has the values, and the others are zero. */
  #weight({ host, model }: Draft, tensor: string, descriptor: Descriptor): string {
    const constant = this.#constants.get(tensor);
    if (!constant) throw new Error(`Farlight bug: the values of "${tensor}" are not known`);
    const { region, term } = this.#parts.of(host, tensor, descriptor);
    const name = this.#parts.name(tensor, descriptor);
    const { bytesPerElement } = tensorOf(this.#planned.problem.graph, tensor);
    const part = cutBytes(constant.data, constant.shape, region, bytesPerElement);
    const data = term === 0 ? part : new Uint8Array(part.byteLength);
    model.addWeight(name, { dataType: constant.dataType, shape: lengthsOf(region), data });
    return name;
  }

  /** A host's part of a tensor in a new layout: the regions that it keeps, and the regions that others send. */
  #assemble(draft: Draft, step: Step): string {
    const { host, model } = draft;
    const { tensor, to } = step;
    const { region } = this.#parts.of(host, tensor, to);
    const isDirect = this.#planned.problem.objective.route === 'direct' && !isOfClient(step);
    const parts = isDirect ? this.#delivered(draft, step) : this.#exchanged(draft, step);
    if (parts.length > 0) return joinBoxes(model, parts, region, to.placements.includes('P'));
    return this.#zeros(draft, step, region);
  }

  /** The boxes that a host gets by way of the client. */
  #exchanged(draft: Draft, step: Step): { region: Region; name: string }[] {
    const { tensor, from, to } = step;
    const name = this.#parts.name(tensor, to);
    const boxes = this.#exchange(step).boxes.filter(({ receiver }) => receiver === draft.host);
    return boxes.map((box, index) => {
      const terms: string[] = [];
      if (box.sent.length > 0)
        terms.push(this.#put(draft, `${name}<${index}`, tensor, box.region, this.#sourceOf(step, box)));
      if (box.kept !== undefined) terms.push(this.#cut(draft, tensor, from, box.region));
      return { region: box.region, name: draft.model.add(terms) };
    });
  }

  /** The boxes that a host gets from others directly. Terms of a sum are added in their order. */
  #delivered(draft: Draft, { tensor, from, to }: Step): { region: Region; name: string }[] {
    const name = this.#parts.name(tensor, to);
    const boxes = new Map<string, Delivery[]>();
    for (const one of deliveries(from, to, this.#parts.seen(tensor).shape)) {
      if (one.receiver !== draft.host) continue;
      const start = one.region.start.join();
      boxes.set(start, [...(boxes.get(start) ?? []), one]);
    }
    return [...boxes.values()].map((terms, index) => {
      const { region } = terms[0] as Delivery;
      const names = terms
        .sort((a, b) => a.term - b.term)
        .map(({ sender, term }) =>
          sender === draft.host
            ? this.#cut(draft, tensor, from, region)
            : this.#receive(draft, { tensor, from, region, sender, value: `${name}<${index}.${term}` }),
        );
      return { region, name: draft.model.add(names) };
    });
  }

  /** A region that another host sends. Returns its name in the draft's model. */
  #receive(
    draft: Draft,
    wanted: { tensor: string; from: Descriptor; region: Region; sender: number; value: string },
  ): string {
    const { tensor, from, region, sender, value } = wanted;
    const home = this.#home(sender, tensor, from);
    const local = this.#parts.local(tensor, region);
    const { varying, dataType } = this.#parts.seen(tensor);
    this.#pieces.push({
      from: sender,
      to: draft.host,
      sentIn: home.stage,
      neededIn: draft.stage,
      output: home.offer(this.#cut(home, tensor, from, region)),
      receive: {
        value,
        from: sender,
        type: typeName(dataType),
        dims: local.dims,
        like: varying.length > 0 ? this.#take(draft, tensor, from) : '',
      },
    });
    draft.input(value, local);
    return value;
  }

  /** The draft in which a host first has a value. A value of the client can be there from its stage on, before a node needs it. */
  #home(host: number, tensor: string, descriptor: Descriptor): Draft {
    const key = valueKey(tensor, descriptor);
    const arrives = this.#steps.get(key);
    const isGiven =
      this.#planned.problem.graph.inputs.includes(tensor) && (!arrives || isOfClient(arrives.step));
    const first = arrives?.stage ?? 0;
    const stage = isGiven ? first : (this.#stageOf.get(`${host}/${key}`) ?? first);
    const draft = this.#draft(host, stage);
    this.#take(draft, tensor, descriptor);
    return draft;
  }

  /** The part of a term that no host has: zeros. */
  #zeros(draft: Draft, { tensor, from, to }: Step, region: Region): string {
    const { dataType, varying } = this.#parts.seen(tensor);
    const { model, host } = draft;
    if (varying.length === 0) {
      const { bytesPerElement } = tensorOf(this.#planned.problem.graph, tensor);
      const name = this.#parts.name(tensor, to);
      const data = new Uint8Array(elementsOf(region) * bytesPerElement);
      model.addWeight(name, { dataType, shape: lengthsOf(region), data });
      return model.identity(name);
    }
    // The lengths follow from the part that the host has.
    const own =
      from.mesh.hosts.includes(host) && intersection(this.#parts.of(host, tensor, from).region, region);
    if (!own)
      throw new RangeError(
        `"${tensor}" differs in shape from run to run, and the plan lays zeros of it on a host that has no part of it`,
      );
    const zeros = model.zerosLike(this.#cut(draft, tensor, from, own), dataType);
    return joinBoxes(model, [{ name: zeros, region: own }], region, true);
  }

  /** A region of a tensor that a draft's host has. */
  #cut(draft: Draft, tensor: string, descriptor: Descriptor, region: Region): string {
    const own = this.#parts.of(draft.host, tensor, descriptor).region;
    const name = this.#take(draft, tensor, descriptor);
    return draft.model.slice(name, lengthsOf(own), {
      start: region.start.map((at, axis) => at - (own.start[axis] as number)),
      end: region.end.map((at, axis) => at - (own.start[axis] as number)),
    });
  }

  #sourceOf(step: Step, { region, sent }: Pick<Box, 'region' | 'sent'>): Put['source'] {
    return isOfClient(step)
      ? { input: step.tensor, region }
      : { slots: sent.map((term) => this.#fetch(step, term, region)) };
  }

  /** The slot for a region of a term that the client fetches, after the segment in which its host has it. */
  #fetch(step: Step, term: number, region: Region): number {
    const { tensor, from } = step;
    const start = region.start.join();
    const key = `${stepKey(step)}/${term}/${start}`;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const slot = this.#slots.size;
    this.#slots.set(key, slot);
    const one = this.#exchange(step).fetches.find(
      (each) => each.term === term && each.region.start.join() === start,
    );
    if (!one) throw new Error('Farlight bug: the client sends only what it has fetched');
    const draft = this.#home(one.host, tensor, from);
    const output = draft.offer(this.#cut(draft, tensor, from, region));
    if (this.#planned.problem.objective.route === 'client') {
      draft.fetches.push({ output, slot });
      return slot;
    }
    // It stays on the host until the client reads all results at once.
    const value = `slot ${slot}`;
    draft.keep(draft.model.identity(output), value);
    draft.keepAfter(value);
    this.#reads.push({ host: one.host, value, slot });
    return slot;
  }

  #output(name: string, to: Descriptor, arrives: { step: Step; stage: number } | undefined): Output {
    if (to.mesh.hosts[0] === CLIENT) {
      if (!arrives) return { input: name };
      const { step } = arrives;
      const boxes = this.#exchange(step).boxes.map(({ region, sent }) => ({
        region,
        slots: sent.map((term) => this.#fetch(step, term, region)),
      }));
      return { boxes };
    }
    const key = valueKey(name, to);
    const values = new Map<number, string>();
    for (const host of to.mesh.hosts) {
      const madeIn = this.#stageOf.get(`${host}/${key}`) ?? arrives?.stage ?? 0;
      const draft = this.#draft(host, madeIn);
      this.#take(draft, name, to);
      const value = this.#stored(draft, key, name, to);
      draft.keepAfter(value);
      values.set(host, value);
    }
    return { values };
  }

  #draft(host: number, stage: number): Draft {
    const key = segmentKey(host, stage);
    const known = this.#drafts.get(key);
    if (known) return known;
    const draft = new Draft(this.#planned, host, stage, this.#lastUse);
    this.#drafts.set(key, draft);
    return draft;
  }

  #exchange(step: Step): Exchange {
    const key = stepKey(step);
    const known = this.#exchanges.get(key);
    if (known) return known;
    const made = exchange(step.from, step.to, this.#parts.seen(step.tensor).shape);
    this.#exchanges.set(key, made);
    return made;
  }
}

/** The values by the names that stand for them. Omitted inputs and outputs have empty names, and no values. */
function spread<T>(names: readonly string[], values: readonly T[]): (T | undefined)[] {
  let next = 0;
  return names.map((name) => (name ? values[next++] : undefined));
}

function isOfClient({ from }: Step): boolean {
  return from.mesh.hosts[0] === CLIENT;
}

function stepKey({ tensor, from, to }: Step): string {
  return `${valueKey(tensor, from)}>${keyOf(to)}`;
}
