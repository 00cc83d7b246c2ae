import { clock, count, duration, rate } from '../../page/site/format.js';
import type { AllView, ApplicationView, NodeView } from '../../stream/statistics/application-view.js';
import { columns, cut, type Style } from '../style.js';
import { fitted, NAME, type TopSize } from './fitted.js';

/** How many upgrades are shown. */
const UPGRADES = 5;

/** A stream application as lines of a terminal. */
export function applicationLines(application: ApplicationView, size: TopSize, style: Style): string[] {
  const { all } = application;
  const parts = [summary(application)];
  if (all)
    parts.push(stepsTable(all), endsTable(all), workersTable(all), upgradesTable(all), partitionsTable(all));
  parts.push(postedTable(application));
  return fitted(parts, size, style);
}

function summary({ name, version, urls, now, startedAt, all }: ApplicationView): string[] {
  const head = `Farlight ${version}  ${urls.join(' ')}  up ${duration(now - startedAt)}`;
  if (!all) return [head];
  const { id, epoch, passing, waiting, rates, lag, upgrade } = all;
  return [
    head,
    `stream     ${name}, version ${id}, epoch ${epoch}`,
    `records    ${count(passing)} on their way, ${count(waiting)} wait in the log`,
    `now        ${rate(rates.records)} records/s, ${rate(rates.outputs)} outputs/s, ${rate(rates.failed)} failed/s`,
    `to sinks   ${duration(lag.median)} from the log, ${duration(lag.p99)} for 99 of 100`,
    ...(upgrade ? [`upgrade    to version ${upgrade.to}: ${upgrade.phase}`] : []),
  ];
}

function stepsTable({ nodes }: AllView): string[] {
  const rows = nodes.flatMap((node) => (node.kind === 'step' ? [stepRow(node)] : []));
  if (rows.length === 0) return [];
  const head = ['STEP', 'RECORDS', 'RATE', 'EACH', 'RUNNING', 'BATCH', 'FAILED', 'RUNS', 'UPGRADE'];
  return columns([head, ...rows], [1, 2, 3, 4, 5, 6]);
}

function stepRow(step: Extract<NodeView, { kind: 'step' }>): string[] {
  const { name, records, ms, running, items, failed, what, change } = step;
  return [
    cut(name, NAME),
    count(records),
    `${rate(step.rate)}/s`,
    step.rate > 0 ? duration(ms) : '-',
    count(running),
    items > 0 ? rate(items) : '-',
    count(failed),
    what,
    change ?? '-',
  ];
}

function endsTable({ nodes }: AllView): string[] {
  const rows = nodes
    .filter(({ kind }) => kind !== 'step')
    .map((node) => [
      cut(`${node.kind} ${node.name}`, NAME),
      count(node.records),
      `${rate(node.rate)}/s`,
      node.kind === 'source' ? count(node.waiting) : '-',
      whatOf(node),
    ]);
  return columns([['SOURCE OR SINK', 'RECORDS', 'RATE', 'WAITING', 'WHAT'], ...rows], [1, 2, 3]);
}

/** Describes a source or a sink. Of a source that fails it gives the reason. */
function whatOf(node: NodeView): string {
  if (node.kind !== 'source') return node.what;
  const { what, problem, aside } = node;
  return problem ?? (aside ? `${what}, ${count(aside)} put aside` : what);
}

function workersTable({ workers }: AllView): string[] {
  if (!workers) return [];
  const rows = workers.workers.map(({ id, partitions, rate: each, passing, silent, problem }) => [
    id,
    `${rate(each)}/s`,
    count(passing),
    duration(silent),
    problem ?? (partitions.join(', ') || '-'),
  ]);
  return columns([['WORKER', 'RATE', 'ON THEIR WAY', 'LAST HEARD', 'PARTITIONS'], ...rows], [1, 2, 3]);
}

function partitionsTable({ workers }: AllView): string[] {
  if (!workers) return [];
  const rows = workers.partitions.map((each) => [
    String(each.partition),
    `${rate(each.rate)}/s`,
    count(each.waiting),
    count(each.passing),
    each.lag === undefined ? '-' : duration(each.lag),
    count(each.epoch),
    each.upgrade ?? '-',
    each.worker || 'none',
  ]);
  const head = ['PARTITION', 'RATE', 'WAITING', 'ON THEIR WAY', 'TO SINK', 'EPOCH', 'UPGRADE', 'WORKER'];
  return columns([head, ...rows], [1, 2, 3, 4, 5]);
}

function upgradesTable({ upgrades }: AllView): string[] {
  if (upgrades.length === 0) return [];
  const rows = upgrades
    .slice(0, UPGRADES)
    .map(({ to, at, ms, changes, epoch, why = '' }) => [
      to,
      clock(at),
      duration(ms),
      epoch === undefined ? 'given up' : `since epoch ${epoch}`,
      changes.join(', '),
      why,
    ]);
  return columns([['UPGRADE TO', 'AT', 'TOOK', 'OUTCOME', 'CHANGES', 'WHY'], ...rows], [2]);
}

function postedTable({ posted }: ApplicationView): string[] {
  if (posted.length === 0) return [];
  const rows = posted.map((row) => [
    cut(row.tenant, NAME),
    cut(row.source, NAME),
    count(row.records),
    `${rate(row.rate)}/s`,
    count(row.repeated),
    count(row.refused),
  ]);
  return columns([['POSTED BY', 'TO', 'TAKEN', 'RATE', 'BEFORE', 'REFUSED'], ...rows], [2, 3, 4, 5]);
}
