import { stats } from '../api/device/gpu.js';
import type { Stats } from '../session/stats.js';

/** The round trip of a typical link, in milliseconds, for the comparison. */
const TYPICAL_RTT_MS = 30;

const shown: GPU[] = [];

/** Prints the statistics of a GPU when the process ends, unless the GPU was not used. */
export function showStatsAtExit(gpu: GPU): void {
  if (shown.push(gpu) > 1) return;
  process.on('exit', () => {
    for (const counted of shown.map(stats))
      if (counted.apiCalls > 0) process.stderr.write(formatStats(counted));
  });
}

/**
 * The statistics as `farlight run --stats` prints them. A second column shows a remoting layer that sends
 * each call as an RPC and waits for it. The seconds are computed, not measured.
 */
export function formatStats(stats: Stats): string {
  const rows = [
    ['', 'Farlight', 'one RPC a call'],
    ['API calls', count(stats.apiCalls), count(stats.apiCalls)],
    [
      'answered locally',
      `${count(stats.answeredLocally)} (${percent(stats.answeredLocally, stats.apiCalls)})`,
      '0',
    ],
    ['commands sent', count(stats.commandsSent), count(stats.apiCalls)],
    ['  as names', `${count(stats.sentAsNames)} (${percent(stats.sentAsNames, stats.commandsSent)})`, '0'],
    ['messages sent', count(stats.messagesSent), count(stats.apiCalls)],
    ['waits for the host', count(stats.waits), count(stats.apiCalls)],
    [`waiting, at ${TYPICAL_RTT_MS} ms away`, seconds(stats.waits), seconds(stats.apiCalls)],
    ['waits saved', count(stats.waitsSaved), ''],
    ['bytes up', bytes(stats.bytesUp), ''],
    ['  not sent, host had it', bytes(stats.bytesNotSent), ''],
    ['  saved by compression', bytes(stats.bytesSavedUp), ''],
    ['bytes down', bytes(stats.bytesDown), ''],
    ['  read ahead', bytes(stats.bytesAhead), ''],
    ['  read ahead in vain', bytes(stats.bytesAheadWasted), ''],
    ['  saved by compression', bytes(stats.bytesSavedDown), ''],
  ];
  const line = ([name = '', ours = '', theirs = '']: string[]) =>
    `  ${name.padEnd(24)}${ours.padStart(16)}${theirs.padStart(18)}`.trimEnd();
  return `\nfarlight: the session in numbers\n${rows.map(line).join('\n')}\n`;
}

const count = (value: number) => value.toLocaleString('en-US');

const seconds = (waits: number) => `${((waits * TYPICAL_RTT_MS) / 1000).toFixed(1)} s`;

function percent(part: number, whole: number): string {
  return whole === 0 ? '0%' : `${((100 * part) / whole).toFixed(1)}%`;
}

function bytes(value: number): string {
  if (value < 1 << 10) return `${value} B`;
  if (value < 1 << 20) return `${(value / (1 << 10)).toFixed(1)} KiB`;
  return `${(value / (1 << 20)).toFixed(1)} MiB`;
}
