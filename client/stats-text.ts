import type { Stats } from './session/ledger.js';

/** The ledger as `farlight run --stats` prints it. */
export function formatStats(stats: Stats): string {
  const rows: [string, string][] = [
    ['API calls', count(stats.apiCalls)],
    [
      'answered locally',
      `${count(stats.answeredLocally)} (${percent(stats.answeredLocally, stats.apiCalls)})`,
    ],
    ['commands sent', count(stats.commandsSent)],
    ['messages sent', count(stats.messagesSent)],
    ['waits for the host', count(stats.waits)],
    ['bytes up', bytes(stats.bytesUp)],
    ['bytes down', bytes(stats.bytesDown)],
  ];
  return `farlight: the session in numbers\n${rows.map(([name, value]) => `  ${name.padEnd(20)}${value}\n`).join('')}`;
}

const count = (value: number) => value.toLocaleString('en-US');

function percent(part: number, whole: number): string {
  return whole === 0 ? '0%' : `${((100 * part) / whole).toFixed(1)}%`;
}

function bytes(value: number): string {
  if (value < 1 << 10) return `${value} B`;
  if (value < 1 << 20) return `${(value / (1 << 10)).toFixed(1)} KiB`;
  return `${(value / (1 << 20)).toFixed(1)} MiB`;
}
