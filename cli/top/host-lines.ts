import {
  bytes,
  bytesPerSecond,
  clock,
  count,
  duration,
  rate,
  share,
  waitsPerSubmit,
} from '../../page/site/format.js';
import type { EndView, HostView, SessionView } from '../../server/observatory/host-view.js';
import { columns, cut, type Style } from '../style.js';
import { fitted, NAME, type TopSize } from './fitted.js';

/** How many ended sessions are shown. */
const ENDS = 5;

/** A host as lines of a terminal. */
export function hostLines(host: HostView, size: TopSize, style: Style): string[] {
  return fitted([summary(host), sessionsTable(host), endsTable(host.ends)], size, style);
}

function summary(host: HostView): string[] {
  const { adapter, adapterProblem, version, url, now, startedAt, rates, totals, executors, counters } = host;
  const software = adapter?.software ? ' (software)' : '';
  const parked = host.sessions.filter((each) => each.parked);
  const onDisk = parked.reduce((sum, each) => sum + (each.parked?.bytes ?? 0), 0);
  const parkedText = parked.length > 0 ? `, of them ${parked.length} parked (${bytes(onDisk)} on disk)` : '';
  return [
    `Farlight ${version}  ${url}  up ${duration(now - startedAt)}`,
    `GPU        ${adapter ? `${adapter.name}${software}` : `none: ${adapterProblem}`}, ${gpuMemory(host)}`,
    `sessions   ${host.sessions.length} open${parkedText}, ${count(counters.sessionsOpened)} since the start, ${count(counters.sessionsRefused)} refused`,
    `executors  ${executors.busy} busy, ${executors.spare} spare, ${executors.warm} warm, ${executors.changing} starting or ending`,
    `now        ${rate(rates.submits)} submits/s, ${rate(rates.waits)} waits/s, ${bytesPerSecond(rates.bytesUp)} up, ${bytesPerSecond(rates.bytesDown)} down`,
    `saved      ${share(totals.asNames, totals.commands)} of commands as names, ${bytes(totals.bytesNotSent)} not sent, ${duration(totals.compileMsSaved)} of compiling`,
    `uploads    ${uploads(host)}`,
  ];
}

function gpuMemory({ totals, gpuMemory: { capacity, source } }: HostView): string {
  const used = `${bytes(totals.gpuBytes)}${capacity === undefined ? '' : ` of ${bytes(capacity)}`} in use`;
  const reserved = totals.gpuReserved > 0 ? `, ${bytes(totals.gpuReserved)} reserved` : '';
  return `${used}${reserved}${capacity === undefined ? `, capacity unknown: ${source}` : ''}`;
}

function uploads({ contents }: HostView): string {
  if (!contents) return 'none are kept';
  const sum = (read: (each: { count: number; bytes: number }) => number) =>
    contents.reduce((total, each) => total + read(each), 0);
  return `${count(sum((each) => each.count))} kept, ${bytes(sum((each) => each.bytes))}, of ${contents.length} tenants`;
}

function sessionsTable({ sessions, now }: HostView): string[] {
  if (sessions.length === 0) return ['no program has a session open'];
  const head = [
    'PROGRAM',
    'TENANT',
    'GPU MEM',
    'SUBMITS/S',
    'WAITS/S',
    'WAITS/SUBMIT',
    'UP',
    'DOWN',
    'OPEN FOR',
  ];
  const row = ({ program, tenant, work, rates, traffic, since, parked }: SessionView) => [
    cut(program, NAME),
    cut(tenant, NAME),
    bytes(work.gpuBytes),
    parked ? 'parked' : rate(rates.submits),
    rate(rates.waits),
    waitsPerSubmit(work),
    bytes(traffic.bytesUp),
    bytes(traffic.bytesDown),
    duration(now - since),
  ];
  const busiest = [...sessions].sort((a, b) => b.rates.submits - a.rates.submits);
  return columns([head, ...busiest.map(row)], [2, 3, 4, 5, 6, 7, 8]);
}

function endsTable(ends: readonly EndView[]): string[] {
  if (ends.length === 0) return [];
  const row = ({ program, tenant, code, at, seconds, why }: EndView) => [
    cut(program, NAME),
    cut(tenant, NAME),
    clock(at),
    duration(seconds * 1000),
    code,
    why,
  ];
  return columns([['ENDED', 'TENANT', 'AT', 'OPEN FOR', 'CODE', 'WHY'], ...ends.slice(0, ENDS).map(row)]);
}
