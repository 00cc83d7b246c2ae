import { basename } from 'node:path';
import type { Definition, SinkDefinition, SourceDefinition } from '../definition/definition.js';
import { hasState, titleOf, type UpgradePlan } from '../definition/upgrade-plan.js';

/** A source, step or sink of an application, and of the version that it is being upgraded to. */
export interface GraphNode {
  /** Unlike that of any other node, and the same from one version to the next. */
  readonly id: string;
  readonly kind: 'source' | 'step' | 'sink';
  readonly name: string;
  readonly uid: string;
  /** Its kind, its model or its function. */
  readonly what: string;
  /** The ids of the nodes whose values it takes. */
  readonly from: readonly string[];
  readonly hasState: boolean;
}

/** The nodes of a version, and those that the next one adds. Each comes after those whose values it takes. */
export function graphOf(definition: Definition, next?: Definition): GraphNode[] {
  // A node that both have is shown as it will be. No node of the next version takes values of one that goes.
  const nodes = new Map(nodesOf(next ?? definition).map((node) => [node.id, node]));
  for (const node of nodesOf(definition)) if (!nodes.has(node.id)) nodes.set(node.id, node);
  const order = { source: 0, step: 1, sink: 2 };
  return [...nodes.values()].sort((a, b) => order[a.kind] - order[b.kind]);
}

/** The change that an upgrade makes to a node. */
export function changeOf({ kind, name, uid }: GraphNode, { steps, sources, sinks }: UpgradePlan) {
  if (kind === 'step') return steps.find((step) => step.uid === uid);
  return (kind === 'source' ? sources : sinks).find((each) => each.name === name);
}

function nodesOf({ sources, steps, sinks }: Definition): GraphNode[] {
  const idOf = new Map<string, string>();
  for (const name of Object.keys(sources)) idOf.set(name, `source ${name}`);
  for (const { name, uid } of steps) idOf.set(name, `step ${uid}`);
  const fromOf = (references: readonly string[]) => {
    const names = references.map((reference) => reference.slice(0, reference.indexOf('.')));
    return [...new Set(names.map((name) => idOf.get(name) as string))];
  };
  return [
    ...Object.entries(sources).map(([name, source]): GraphNode => {
      const common = { id: `source ${name}`, kind: 'source', name, uid: name } as const;
      return { ...common, what: sourceTitle(source), from: [], hasState: false };
    }),
    ...steps.map((step): GraphNode => {
      const { name, uid } = step;
      const common = { id: `step ${uid}`, kind: 'step', name, uid } as const;
      const from = fromOf(Object.values(step.inputs));
      return { ...common, what: titleOf(step), from, hasState: hasState(step) };
    }),
    ...Object.entries(sinks).map(([name, sink]): GraphNode => {
      const common = { id: `sink ${name}`, kind: 'sink', name, uid: name } as const;
      const from = fromOf(
        [...Object.values(sink.values), sink.each, sink.key].flatMap((reference) => reference ?? []),
      );
      return { ...common, what: sinkTitle(sink), from, hasState: false };
    }),
  ];
}

function sourceTitle(source: SourceDefinition): string {
  if (source.kind === 'generator') return `generator ${source.function.title}`;
  if (source.kind === 'http') return `http ${Object.keys(source.types).join(', ')}`;
  if (source.kind === 'nats') return `nats ${source.subject}`;
  return `${source.kind} ${basename(source.folder)}`;
}

function sinkTitle(sink: SinkDefinition): string {
  if (sink.kind === 'nats') return `nats ${sink.subject}`;
  if (sink.kind === 'page') return 'page';
  return sink.kind === 'file' ? `file ${basename(sink.file)}` : `http ${new URL(sink.url).host}`;
}
