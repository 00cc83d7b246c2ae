/** What the test files that share a process would see of each other. */
export interface ProcessState {
  readonly variables: NodeJS.ProcessEnv;
  readonly folder: string;
  readonly listeners: Readonly<Record<string, number>>;
  /** Global names, with their values. Node makes some when they are asked for first, which have none before. */
  readonly globals: ReadonlyMap<string, unknown>;
  /** How many of each kind would keep the process alive: timers, sockets, processes, threads. */
  readonly running: Readonly<Record<string, number>>;
}

export function processState(): ProcessState {
  const globals = Object.entries(Object.getOwnPropertyDescriptors(globalThis));
  const listeners = process.eventNames().map((name) => [String(name), process.listenerCount(name)]);
  const running: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) {
    // What ends by itself, and soon.
    if (!/Req|Immediate|Tick/.test(name)) running[name] = (running[name] ?? 0) + 1;
  }
  return {
    variables: { ...process.env },
    folder: process.cwd(),
    listeners: Object.fromEntries(listeners),
    globals: new Map(globals.map(([name, each]) => [name, 'value' in each ? each.value : undefined])),
    running,
  };
}

/** What is otherwise in a process than it was, in words. */
export function changes(before: ProcessState, after: ProcessState): string[] {
  return [
    ...unlike(before.variables, after.variables).map((name) => `the variable ${name}`),
    ...(before.folder === after.folder ? [] : ['the working folder']),
    ...unlike(before.listeners, after.listeners).map((name) => `listeners to ${name} of the process`),
    ...unlikeGlobals(before.globals, after.globals).map((name) => `the global ${name}`),
    ...Object.entries(after.running)
      .filter(([name, count]) => count > (before.running[name] ?? 0))
      .map(([name]) => `${name} that is still open`),
  ];
}

function unlike(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => before[name] !== after[name]);
}

function unlikeGlobals(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): string[] {
  const replaced = [...after].filter(([name, value]) => !Object.is(before.get(name) ?? value, value));
  const added = [...after.keys()].filter((name) => !before.has(name));
  const removed = [...before.keys()].filter((name) => !after.has(name));
  return [...replaced.map(([name]) => name), ...added, ...removed];
}
