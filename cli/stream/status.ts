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
  const { name, version, epoch, passing, isUpgrading, sources, steps, sinks, workers } = status;
  const lines = [
    `${name}, version ${version}, epoch ${epoch}${isUpgrading ? ', being upgraded' : ''}: ${passing} records on their way`,
    ...sources.map(({ name, records, waiting, aside, problem }) => {
      const parts = [`${records} records`, `${waiting} wait`, ...(aside ? [`${aside} put aside`] : [])];
      const why = problem === undefined ? '' : `; it fails, and is tried again: ${problem}`;
      return `source ${name}: ${parts.join(', ')}${why}`;
    }),
    ...steps.map(({ uid, records, failed, ms }) => {
      const mean = records === 0 ? 0 : ms / records;
      return `step ${uid}: ${records} records, ${failed} failed, ${mean.toFixed(1)} ms each`;
    }),
    ...sinks.map((each) => `sink ${each.name}: ${each.outputs} outputs`),
    ...(workers?.workers ?? []).map(({ id, partitions, passing, problem }) => {
      if (problem !== undefined) return `worker ${id} gets no partitions: ${problem}`;
      return `worker ${id}: partitions ${partitions.join(', ') || 'none'}, ${passing} records on their way`;
    }),
  ];
  process.stdout.write(`${harmlessLines(lines.join('\n'))}\n`);
}
