import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach } from 'vitest';
import { Engine, type EngineOptions } from '#farlight/infer/engine/engine.js';
import { EventTime } from './event-time.js';
import { FakeHost, type FakeModel } from './fake-lanes.js';

export interface Served {
  readonly engine: Engine;
  readonly time: EventTime;
  readonly host: FakeHost;
  readonly functions: FakeHost;
  /** The content of the files: a model that is put there is loaded next. */
  readonly models: Record<string, FakeModel>;
  readonly folder: string;
  put(files: Readonly<Record<string, string>>): void;
}

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** An engine that serves fake models, whose files are there, on fake lanes. It is not loaded yet. */
export function begin(
  given: Readonly<Record<string, FakeModel>>,
  {
    files = {},
    lanes = 1,
    bytes = 1_000_000,
    functions = {},
    more = () => [],
    ...options
  }: {
    /** Beside `NAME/1/model.onnx` of each model. */
    files?: Readonly<Record<string, string>>;
    lanes?: number;
    bytes?: number;
    functions?: Readonly<Record<string, FakeModel>>;
    more?: (time: EventTime) => FakeHost[];
  } & Partial<EngineOptions> = {},
): Served {
  const models = { ...given };
  const folder = mkdtempSync(join(tmpdir(), 'farlight-engine-'));
  folders.push(folder);
  const put = (files: Readonly<Record<string, string>>): void => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
  };
  put(Object.fromEntries(Object.keys(models).map((name) => [`${name}/1/model.onnx`, 'x'])));
  put(files);
  const time = new EventTime();
  const host = new FakeHost(time, models, { lanes, bytes });
  const here = new FakeHost(time, functions, { name: 'here', resource: 'cpu', lanes: 1 });
  const engine = new Engine({ folder, hosts: [host, here, ...more(time)], clock: time, ...options });
  return { engine, time, host, functions: here, models, folder, put };
}

/** The same, with everything loaded. */
export async function serve(...args: Parameters<typeof begin>): Promise<Served> {
  const served = begin(...args);
  await served.time.until(served.engine.loaded);
  served.host.runs.splice(0);
  return served;
}
