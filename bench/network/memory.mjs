// How much the processes grow while more is uploaded than the line carries.
import { readdirSync, readFileSync } from 'node:fs';
import { processMemory } from '../../dist/server/daemon/executors/process-memory.js';
import { emulateLink } from '../../dist/testing/index.js';
import { printTable } from '../print.mjs';
import { startHost, startProgram } from '../processes.mjs';

const MBIT = 10;
const SECONDS = 60;
const SAMPLE_MS = 250;

/**
 * How the program writes its 1 GiB, in pieces of 64 MiB: each when the host has finished the last, or all at
 * once.
 */
const WAYS = { awaited: 'each write awaited', 'at-once': 'all writes at once' };

export async function measureMemory() {
  const results = {};
  const rows = [['', 'client', 'daemon', 'executor', 'link', 'sent']];
  for (const way of Object.keys(WAYS)) {
    process.stderr.write(`  ${WAYS[way]}, ${SECONDS} s ...\n`);
    const { client, daemon, executor, link, sent } = await measure(way);
    results[way] = { client, daemon, executor, link, sent };
    rows.push([`  ${WAYS[way]}`, ...[client, daemon, executor, link, sent].map((bytes) => mib(bytes))]);
  }
  console.log(
    `\n1 GiB by writes of 64 MiB over ${MBIT} Mbit/s for ${SECONDS} s: the most memory (RSS) beyond before`,
  );
  printTable(rows);
  return results;
}

async function measure(way) {
  const host = await startHost('null');
  const link = await emulateLink({ target: host.url, rttMs: 30, mbit: MBIT });
  const client = startProgram('slow-upload', [link.url, way]);
  try {
    await client.next();
    // It already holds the data that it writes, in a buffer of its own.
    const processes = { client: [client.pid], daemon: [host.pid], executor: children(host.pid) };
    const read = () =>
      Object.fromEntries(Object.entries(processes).map(([name, pids]) => [name, total(pids)]));
    const before = read();
    const most = { ...before };
    client.tell('go');
    const end = performance.now() + SECONDS * 1000;
    while (performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
      const now = read();
      for (const name of Object.keys(most)) most[name] = Math.max(most[name], now[name]);
    }
    const grown = Object.fromEntries(Object.keys(most).map((name) => [name, most[name] - before[name]]));
    return { ...grown, link: link.mostHeldBytes, sent: link.bytesUp };
  } finally {
    await client.stop();
    await link.close();
    await host.stop();
  }
}

/** The child processes of a process: of a daemon, its executors. */
function children(pid) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => {
      try {
        return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${each}/status`, 'utf8'))?.[1]) === pid;
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });
}

/** The memory of all processes that still run, in bytes. */
function total(pids) {
  return pids.reduce((bytes, pid) => bytes + (processMemory(pid) ?? 0), 0);
}

const mib = (bytes) => `${(bytes / (1 << 20)).toFixed(1)} MiB`;
