import { counted } from '../../page/site/format.js';
import { harmlessJson, harmlessLines } from '../../proto/harmless.js';
import { askStatus } from '../../stream/control/control.js';
import { stateFolderOf } from './state-folder.js';

export async function showStatus(
  file: string,
  { state, json }: { state?: string; json?: boolean },
): Promise<void> {
  const status = await askStatus(stateFolderOf(file, state));
  if (json) {
    process.stdout.write(`${harmlessJson(JSON.stringify(status, null, 2))}\n`);
    return;
  }
  process.stdout.write(`${harmlessLines(statusLines(status).join('\n'))}\n`);
}

export function statusLines(status: Awaited<ReturnType<typeof askStatus>>): string[] {
  const { name, version, epoch, passing, isUpgrading, sources, steps, sinks, workers } = status;
  return [
    `${name}, version ${version}, epoch ${epoch}${isUpgrading ? ', being upgraded' : ''}: ${onTheWay(passing)}`,
    ...sources.map(({ name, records, waiting, aside, problem }) => {
      const parts = [
        counted(records, 'record'),
        `${waiting} ${waiting === 1 ? 'waits' : 'wait'}`,
        ...(aside ? [`${aside} put aside`] : []),
      ];
      const why = problem === undefined ? '' : `; it fails, and is tried again: ${problem}`;
      return `source ${name}: ${parts.join(', ')}${why}`;
    }),
    ...steps.map(({ uid, records, failed, ms }) => {
      const mean = records === 0 ? 0 : ms / records;
      return `step ${uid}: ${counted(records, 'record')}, ${failed} failed, ${mean.toFixed(1)} ms each`;
    }),
    ...sinks.map((each) => `sink ${each.name}: ${counted(each.outputs, 'output')}`),
    ...(workers?.workers ?? []).map(({ id, partitions, passing, problem }) => {
      if (problem !== undefined) return `worker ${id} gets no partitions: ${problem}`;
      return `worker ${id}: partitions ${partitions.join(', ') || 'none'}, ${onTheWay(passing)}`;
    }),
  ];
}

function onTheWay(records: number): string {
  return `${counted(records, 'record')} on ${records === 1 ? 'its' : 'their'} way`;
}
