import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Command } from 'commander';
import { type ReadBytes, RecordingReader } from '../../client/observers/recording/recording-file.js';
import { allocateHosts, findTransport } from '../../client/transport/open.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless, harmlessJson } from '../../proto/harmless.js';
import { ADAPTER_HELP, HOST_HELP } from '../options/option-texts.js';
import { Replay, type ReplayReport } from './replay.js';

interface ReplayOptions {
  host?: string;
  adapter?: string;
  json?: boolean;
}

export function replayCommand(): Command {
  return new Command('replay')
    .description('Run a recorded session again, and tell whether the replies of the host are the same.')
    .argument('<file>', 'the file that farlight run --record wrote')
    .option('--host <url>', HOST_HELP)
    .option('--adapter <name>', `on this machine: ${ADAPTER_HELP} (or FARLIGHT_ADAPTER)`)
    .option('--json', 'print the findings as JSON')
    .allowExcessArguments(false)
    .action(replay);
}

async function replay(path: string, { host, adapter, json }: ReplayOptions): Promise<void> {
  if (host && adapter) {
    throw new FarlightError(
      'BAD_OPTION',
      '--adapter is for a GPU of this machine; leave out --host or --adapter',
    );
  }
  const file = open(path);
  try {
    const reader = new RecordingReader(file.read);
    const named = host ?? (adapter ? undefined : process.env.FARLIGHT_HOST || undefined);
    const { addresses, release } = await allocateHosts(named === undefined ? [] : [named]);
    try {
      const { signal } = new AbortController();
      const transport = await findTransport(addresses[0], { adapter, signal });
      tell(path, await new Replay(reader, transport).run(), json);
    } finally {
      await release();
    }
  } finally {
    file.close();
  }
}

function tell(path: string, report: ReplayReport, json = false): void {
  process.stdout.write(
    json ? `${harmlessJson(JSON.stringify({ file: path, ...report }, null, 2))}\n` : print(report),
  );
  if (!report.difference) return;
  process.stderr.write(`farlight: ${harmless(report.difference.sentence)}\n`);
  process.exitCode = 1;
}

function open(path: string): { read: ReadBytes; close(): void } {
  try {
    const descriptor = openSync(path, 'r');
    if (fstatSync(descriptor).isDirectory()) {
      closeSync(descriptor);
      throw Object.assign(new Error('a folder'), { code: 'EISDIR' });
    }
    const read: ReadBytes = (length) => {
      const bytes = Buffer.alloc(length);
      let at = 0;
      while (at < length) {
        const count = readSync(descriptor, bytes, at, length - at, null);
        if (count === 0) break;
        at += count;
      }
      return bytes.subarray(0, at);
    };
    return { read, close: () => closeSync(descriptor) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FarlightError(
      'BAD_RECORDING',
      `the recording ${path} cannot be read (${code}); name a file that farlight run --record wrote`,
    );
  }
}

function print(report: ReplayReport): string {
  const { program, recorded, replayed, answers, readbacks, bytes, errors, ofTime, truncated } = report;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const lines = [
    `program       ${program}`,
    `recorded      ${recorded.adapter || 'no host'} (farlight ${recorded.farlight}), ${seconds(recorded.ms)}`,
    `replayed      ${replayed.adapter} (farlight ${replayed.farlight}), ${seconds(replayed.ms)}`,
    `compared      ${answers} answers, among them ${readbacks} readbacks of ${bytes} bytes; ${errors} errors reported by devices`,
    ...(ofTime > 0 ? [`left out      ${ofTime} readbacks of the GPU's time, which differs each time`] : []),
    ...(truncated ? ['cut off       the file ends before the session did'] : []),
    `result        ${report.equal ? 'the same, byte for byte' : 'not the same'}`,
  ];
  return `${lines.map(harmless).join('\n')}\n`;
}
