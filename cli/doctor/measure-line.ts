/** The measured line: `echo` sends a payload, and the host sends `replyBytes` back. */
import { monotonicNow } from '../../link/machine/clock.js';
export interface Echo {
  echo(payload: Uint8Array, replyBytes: number): Promise<void>;
}

export interface LineSpeed {
  /** The median round trip of a small message, in milliseconds. */
  roundTripMs: number;
  /** In MiB (1,048,576 bytes) per second, without the round trip itself. */
  uploadMiBs: number;
  downloadMiBs: number;
}

const ROUND_TRIPS = 20;
const TRANSFERS = 5;
const MIB = 1024 * 1024;
const TRANSFER_BYTES = 4 * MIB;

/** Measures the line to a host. The first exchange, which connects, does not count. */
export async function measureLine(line: Echo, now: () => number = monotonicNow): Promise<LineSpeed> {
  const time = async (up: number, down: number) => {
    const payload = new Uint8Array(up);
    const start = now();
    await line.echo(payload, down);
    return now() - start;
  };
  await time(1, 1);
  const roundTripMs = await median(ROUND_TRIPS, () => time(1, 1));
  const uploadMs = await median(TRANSFERS, () => time(TRANSFER_BYTES, 1));
  const downloadMs = await median(TRANSFERS, () => time(1, TRANSFER_BYTES));
  return {
    roundTripMs: round(roundTripMs),
    uploadMiBs: round(speed(uploadMs - roundTripMs)),
    downloadMiBs: round(speed(downloadMs - roundTripMs)),
  };
}

async function median(count: number, measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < count; i++) values.push(await measure());
  return values.sort((a, b) => a - b)[count >> 1] ?? 0;
}

function speed(ms: number): number {
  // A clock too coarse to see the transfer must not make the speed infinite.
  return TRANSFER_BYTES / MIB / (Math.max(ms, 0.01) / 1000);
}

/** Three significant digits: such a measurement has no more. */
function round(value: number): number {
  return Number(value.toPrecision(3));
}
