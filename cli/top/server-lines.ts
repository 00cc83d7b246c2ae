import type { HostState } from '../../infer/service/state.js';
import type { AllView, RequestView, ServerView } from '../../infer/statistics/server-view.js';
import { bytes, clock, count, duration, rate } from '../../page/site/format.js';
import { columns, cut, type Style } from '../style.js';
import { fitted, NAME, type TopSize } from './fitted.js';

/** How many of the last requests are shown. */
const RECENT = 8;

/** An inference server as lines of a terminal. */
export function serverLines(server: ServerView, size: TopSize, style: Style): string[] {
  const { all } = server;
  const parts = [summary(server)];
  if (all) parts.push(hostsTable(all.hosts), lanesTable(all.lanes), queuesTable(all));
  parts.push(timesTable(server), recentTable(server.recent));
  return fitted(parts, size, style);
}

function summary({ version, urls, now, startedAt, rates, totals, open, models, ready, all }: ServerView) {
  const each = rates.runs > 0 ? `, ${rate(rates.items / rates.runs)} items each` : '';
  const broken = models.filter(({ state }) => state !== 'READY');
  const state = ready
    ? 'all ready'
    : broken.length === 0
      ? 'no lane is open'
      : `${broken.length} cannot answer`;
  return [
    `Farlight ${version}  ${urls.join(' ')}  up ${duration(now - startedAt)}`,
    `models     ${models.length}, ${state}`,
    `requests   ${count(open)} open, ${count(totals.requests)} since the start, ${count(totals.failed)} without a result`,
    `now        ${rate(rates.requests)} requests/s, ${rate(rates.runs)} runs/s${each}`,
    ...(all ? [`waiting    ${duration(all.backlog)} of work`] : []),
  ];
}

function hostsTable(hosts: readonly HostState[]): string[] {
  const rows = hosts.flatMap(({ name, memory }) =>
    memory
      ? [
          [
            cut(name, NAME),
            bytes(memory.limit),
            bytes(memory.used),
            bytes(memory.reserved),
            bytes(memory.others),
            bytes(memory.weights),
          ],
        ]
      : [],
  );
  if (rows.length === 0) return [];
  const head = ['HOST', 'GPU MEM LIMIT', 'USED', 'RESERVED', 'BY OTHERS', 'WEIGHTS'];
  return columns([head, ...rows], [1, 2, 3, 4, 5]);
}

/** Lanes for functions are many, and most of them are idle. */
function lanesTable(lanes: AllView['lanes']): string[] {
  const rows = lanes
    .filter(({ resource, state }) => resource === 'gpu' || state !== 'idle')
    .map(({ name, state, what = '', items, for: ms, reason = '' }) => [
      cut(name, NAME),
      state,
      items !== undefined && state === 'running' ? count(items) : '-',
      ms > 0 ? duration(ms) : '-',
      what || reason,
    ]);
  if (rows.length === 0) return [];
  return columns([['LANE', 'STATE', 'ITEMS', 'SINCE', 'WHAT'], ...rows], [2, 3]);
}

function queuesTable({ queues }: AllView): string[] {
  const busy = queues.filter(({ waiting, running }) => waiting + running > 0);
  if (busy.length === 0) return ['nothing waits'];
  const rows = busy
    .sort((a, b) => b.waiting - a.waiting)
    .map(({ model, version, function: fn, waiting, running, oldest }) => [
      cut(fn ?? `${model} ${version}`, NAME),
      count(waiting),
      count(running),
      oldest > 0 ? duration(oldest) : '-',
    ]);
  return columns([['QUEUE', 'WAITING', 'RUNNING', 'OLDEST WAITS'], ...rows], [1, 2, 3]);
}

function timesTable({ times }: ServerView): string[] {
  if (times.length === 0) return [];
  const head = [
    'TIMES (MEDIAN)',
    'REQUESTS',
    'ALL',
    'P99',
    'WAIT',
    'BATCH',
    'LOAD',
    'MOVE',
    'GPU',
    'FUNCTION',
  ];
  const rows = times.map(({ model, version, requests, median, p99, parts }) => [
    cut(`${model} ${version}`, NAME),
    count(requests),
    duration(median),
    duration(p99),
    ...(['queue', 'batch', 'load', 'move', 'gpu', 'function'] as const).map((part) =>
      duration(parts[part].median),
    ),
  ]);
  return columns([head, ...rows], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

function recentTable(recent: readonly RequestView[]): string[] {
  if (recent.length === 0) return [];
  const rows = recent
    .slice(0, RECENT)
    .map(({ model, version, tenant, at, ms, largest, outcome, why }) => [
      cut(`${model} ${version}`.trim() || 'unknown', NAME),
      cut(tenant, NAME),
      clock(at),
      duration(ms),
      largest > 0 ? count(largest) : '-',
      outcome,
      why,
    ]);
  return columns([['ENDED', 'TENANT', 'CAME', 'TOOK', 'BATCH', 'OUTCOME', 'WHY'], ...rows], [3, 4]);
}
