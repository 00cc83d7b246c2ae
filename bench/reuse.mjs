// `reuse`: the time from a session's start to its first result, and the bytes that the program sends until then. The
// first process runs on a new host, and a second process follows. Then come runs on a restarted host: at once, and later,
// when the host has compiled ahead for the program.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import { figure } from './print.mjs';
import { runWorkload, startHost } from './processes.mjs';

/** Runs a program on a new host, a second time there, and then on new hosts that have the folder of the first. */
export async function measureReuse(program, adapter) {
  const folder = mkdtempSync(`${os.tmpdir()}/farlight-bench-`);
  try {
    const run = async (title, host, env) => {
      process.stderr.write(`${adapter}: ${program}, ${title} ...\n`);
      return runWorkload(program, 'host', adapter, host.url, env);
    };
    const first = await startHost(adapter, ['--contents', folder]);
    const cold = await run('first process', first);
    const second = await run('second process', first);
    const without = await run('without reuse', first, { FARLIGHT_REUSE: 'off' });
    await first.stop();
    const restarted = await startHost(adapter, ['--contents', folder]);
    const after = await run('at once after a restart', restarted);
    await restarted.stop();
    const rested = await startHost(adapter, ['--contents', folder]);
    await rested.prepared();
    const prepared = await run('a while after a restart', rested);
    await rested.stop();
    return { cold, second, after, prepared, without };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function printReuse(program, adapter, { cold, second, after, prepared, without }) {
  const beyond = ({ first, inputBytes }) => first.bytesUp - inputBytes;
  console.log(
    `\n${program} on ${adapter}: session start to first result; bytes up until then, beyond the input`,
  );
  for (const [title, result] of [
    ['first process', cold],
    ['second process', second],
    ['host just restarted', after],
    ['restarted before', prepared],
    ['reuse off, host warm', without],
  ]) {
    const ratio = (result.startMs / cold.startMs).toFixed(3);
    const bytes = beyond(result).toLocaleString('en-US');
    const share = (beyond(result) / beyond(cold)).toFixed(4);
    console.log(
      `  ${title.padEnd(22)}${figure(result.startMs).padStart(10)} ms${ratio.padStart(8)}` +
        `${figure(result.firstMs).padStart(10)} ms` +
        `${bytes.padStart(14)} B${share.padStart(8)}`,
    );
  }
}
