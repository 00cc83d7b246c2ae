// Checks what Biome cannot: how files lie in folders, import each other, and are named. Part of `npm run lint`.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const MOST_FILES = 15;

/** The rooms of the package. Their modules import each other without circles. */
const ROOMS = [
  'client',
  'server',
  'link',
  'proto',
  'page',
  'infer',
  'shard',
  'pool',
  'jobs',
  'stream',
  'cli',
  'testing',
];

/** Rooms that have words of their own beside the core's: no word is banned there. */
const OWN_WORDS = ['infer', 'shard', 'pool', 'jobs', 'stream'];

/** The root, and folders of pages, tests, examples and generated code. */
const ANY_WIDTH = /^(\.$|(docs|test|examples|proto\/gen)(\/|$))/;

/**
 * Folders, each with those that it does not import from. The daemon reads and feeds the observatory; nothing there knows
 * it. In the client, a session knows nobody who uses it.
 */
const STRANGERS = [
  // Servers show pages that are made of it; it knows none of them.
  ['page', 'client', 'server', 'infer', 'shard', 'pool', 'cli', 'testing'],
  ...['client', 'link', 'proto'].map((room) => [room, 'page']),
  // The contract needs no room but itself.
  ['proto', 'client', 'link', 'server'],
  ['server/page', 'server/daemon'],
  ['server/daemon', 'server/page'],
  [
    'server/observatory',
    'server/daemon',
    'server/page',
    ...['contents', 'executor', 'gpu', 'profiles', 'trust'].map((room) => `server/${room}`),
  ],
  ['server/trust', 'server/daemon', 'server/page', 'server/observatory'],
  ...['contents', 'gpu', 'profiles'].map((room) => [
    `server/${room}`,
    'server/daemon',
    'server/page',
    'server/executor',
  ]),
  ['server/executor', 'server/daemon', 'server/page', 'server/observatory', 'server/trust'],
  ['server/executor/wire', ...ofExecutor('objects', 'limits', 'lines', 'live', 'reuse', 'trace', 'handlers')],
  ['server/executor/objects', ...ofExecutor('limits', 'lines', 'live', 'reuse', 'trace', 'handlers')],
  ['server/executor/limits', ...ofExecutor('lines', 'live', 'reuse', 'trace', 'handlers')],
  ['server/executor/lines', ...ofExecutor('wire', 'objects', 'limits', 'live', 'reuse', 'trace', 'handlers')],
  ['server/executor/live', ...ofExecutor('objects', 'limits', 'lines', 'reuse', 'trace', 'handlers')],
  ...['wire', 'objects', 'limits', 'lines', 'live', 'reuse', 'trace', 'handlers'].map((room) => [
    `server/executor/${room}`,
    'server/executor/park',
  ]),
  ['server/executor/reuse', ...ofExecutor('limits', 'lines', 'live', 'trace', 'handlers')],
  ['server/executor/trace', ...ofExecutor('lines', 'live', 'reuse', 'handlers')],
  ['server/daemon/door', ...ofDaemon('executors', 'sessions', 'tenants')],
  ['server/daemon/executors', ...ofDaemon('door', 'sessions', 'tenants')],
  ['server/daemon/tenants', ...ofDaemon('door', 'sessions')],
  [
    'client/ahead',
    ...ofClient('api', 'browser', 'canvas', 'node', 'observers', 'reuse', 'session', 'transport'),
  ],
  ['client/api', ...ofClient('ahead', 'browser', 'canvas', 'node', 'observers', 'reuse', 'transport')],
  ['client/browser', ...ofClient('ahead', 'node', 'observers', 'reuse')],
  ['client/canvas', ...ofClient('ahead', 'browser', 'node', 'observers', 'reuse', 'transport')],
  ['client/node', ...ofClient('ahead', 'browser', 'canvas', 'observers', 'reuse', 'session', 'transport')],
  ['client/observers', ...ofClient('ahead', 'browser', 'canvas', 'node', 'reuse')],
  ['client/reuse', ...ofClient('ahead', 'api', 'browser', 'canvas', 'node', 'observers', 'transport')],
  ['client/session', ...ofClient('api', 'browser', 'canvas', 'node', 'observers')],
  [
    'client/transport',
    ...ofClient('ahead', 'api', 'browser', 'canvas', 'node', 'observers', 'reuse', 'session'),
  ],
  ['link/files', ...ofLink('machine', 'address', 'channel', 'near', 'grpc', 'dial', 'executor')],
  ['link/machine', ...ofLink('files', 'address', 'channel', 'near', 'grpc', 'dial', 'executor')],
  ['link/address', ...ofLink('channel', 'near', 'grpc', 'dial', 'executor')],
  ['link/channel', ...ofLink('address', 'near', 'grpc', 'dial', 'executor')],
  ['link/near', ...ofLink('grpc', 'dial', 'executor')],
  ['link/grpc', ...ofLink('address', 'near', 'dial', 'executor')],
  ['link/dial', ...ofLink('channel', 'near', 'executor')],
  ['link/executor', ...ofLink('channel', 'near', 'grpc', 'dial')],
  ...['client', 'link', 'proto', 'server', 'shard', 'testing'].map((room) => [room, 'cli']),
  ...['client', 'link', 'proto', 'server', 'testing'].map((room) => [room, 'shard']),
  [
    'shard',
    ...ofClient('ahead', 'api', 'browser', 'canvas', 'node', 'observers', 'reuse', 'session', 'transport'),
    'server',
  ],
  ...['client', 'link', 'proto', 'server', 'shard', 'testing'].map((room) => [room, 'pool']),
  // A pool keeps its journal as hosts keep their secrets, and takes nothing else from a host.
  ['pool', 'cli', 'testing', 'infer', 'shard', ...ofHost()],
  ['pool/engines', ...ofPool('allocation', 'attach', 'definition', 'host', 'journal')],
  ['pool/allocation', 'client', 'link', 'server', ...ofPool('attach', 'definition', 'host', 'journal')],
  [
    'pool/files',
    'client',
    'server',
    ...ofPool('allocation', 'attach', 'engines', 'definition', 'host', 'journal'),
  ],
  ['pool/definition', 'client', 'server', ...ofPool('attach', 'host', 'journal')],
  ['pool/journal', 'client', ...ofPool('attach', 'engines', 'definition', 'host')],
  ...['files', 'definition', 'journal', 'allocation', 'engines', 'host', 'attach'].map((room) => [
    `pool/${room}`,
    'pool/environment',
  ]),
  ['pool/host', 'client', ...ofPool('allocation', 'attach')],
  [
    'pool/portal/queue',
    'client',
    'link',
    'page',
    'proto',
    'server',
    ...ofPool('attach', 'definition', 'host', 'journal'),
  ],
  ...['client', 'link', 'proto', 'server', 'shard', 'testing', 'infer', 'pool'].map((room) => [room, 'jobs']),
  [
    'jobs',
    'cli',
    'testing',
    'infer',
    'shard',
    'client',
    'pool/allocation',
    ...ofPool('attach', 'environment', 'files', 'journal', 'portal', 'teardown'),
    ...ofHost(),
  ],
  // Choices and progress are pure; a job is rendered without its record.
  [
    'jobs/select',
    'link',
    'server',
    'pool',
    ...ofJobs('request', 'templates', 'images', 'render', 'record', 'run', 'store'),
  ],
  ['jobs/templates', 'server', ...ofJobs('request', 'images', 'record', 'run')],
  ['jobs/images', 'server', ...ofJobs('request', 'templates', 'record', 'run')],
  ['jobs/request', 'server', ...ofJobs('render', 'record', 'run')],
  ['jobs/render', 'server', ...ofJobs('record', 'run')],
  ['jobs/record', ...ofJobs('run')],
  ...['client', 'link', 'proto', 'server', 'shard', 'testing'].map((room) => [room, 'infer']),
  // The inference server admits clients as hosts do, and takes nothing else from a host.
  ['infer', 'cli', 'testing', ...ofHost()],
  ...['door', 'grpc', 'http', 'page', 'protocol', 'statistics', 'tracing'].map((room) => [
    `infer/${room}`,
    ...['engine', 'graph', 'lanes', 'learned', 'schedule', 'simulation'].map((other) => `infer/${other}`),
  ]),
  [
    'infer/lanes',
    ...['door', 'engine', 'graph', 'grpc', 'http', 'learned', 'protocol', 'schedule', 'simulation'].map(
      (other) => `infer/${other}`,
    ),
  ],
  ...['client', 'link', 'proto', 'server', 'page', 'shard', 'pool', 'jobs', 'infer', 'testing'].map(
    (room) => [room, 'stream'],
  ),
  ['stream', 'cli', 'testing', 'client', 'pool', 'jobs', 'shard', ...ofHost()],
  [
    'stream/flow',
    'infer',
    'server',
    ...ofStream('control', 'definition', 'front', 'log', 'page', 'run', 'sinks', 'sources', 'statistics'),
  ],
  [
    'stream/log',
    'server',
    ...ofStream('control', 'definition', 'flow', 'front', 'page', 'run', 'sinks', 'sources', 'statistics'),
  ],
  // An application tells its observer, and does not know who that is.
  ['stream/run', ...ofStream('control', 'front', 'page', 'statistics')],
  [
    'infer/protocol',
    'infer/door',
    'infer/grpc',
    'infer/http',
    'infer/page',
    'infer/statistics',
    'infer/tracing',
  ],
  ['infer/schedule', 'client', 'link', 'proto', 'infer/simulation', 'infer/graph', 'infer/learned'],
  ...['client', 'link', 'proto', 'server', 'shard'].map((room) => [room, 'testing']),
];

/** The rooms of a host. */
function ofHost() {
  const rooms = ['contents', 'daemon', 'executor', 'gpu', 'observatory', 'page', 'profiles'];
  return rooms.map((room) => `server/${room}`);
}

function ofPool(...rooms) {
  return rooms.map((room) => `pool/${room}`);
}

function ofJobs(...rooms) {
  return rooms.map((room) => `jobs/${room}`);
}

function ofStream(...rooms) {
  return rooms.map((room) => `stream/${room}`);
}

function ofDaemon(...rooms) {
  return rooms.map((room) => `server/daemon/${room}`);
}

function ofExecutor(...rooms) {
  return rooms.map((room) => `server/executor/${room}`);
}

function ofLink(...rooms) {
  return rooms.map((room) => `link/${room}`);
}

function ofClient(...rooms) {
  return rooms.map((room) => `client/${room}`);
}

/** Folders that name no file of others, not even as text: which file a process starts from is given to them. */
const SILENT = [{ folder: 'link', of: ['server/', 'client/'] }];

/**
 * A sentence for each place that breaks a rule. `files` maps each file's path to its text; the text of a file that is no
 * source may be empty.
 */
function problems(files, glossary) {
  const sources = [...files.keys()].filter((path) => isSource(path));
  const imports = new Map(sources.map((path) => [path, importsOf(path, files)]));
  const found = [
    circles(imports),
    wideFolders([...files.keys()]),
    strangers(imports),
    silent(sources, files),
    words(sources, files, bannedWords(glossary)),
  ];
  return found.flatMap((places) => [...places.values()]);
}

/** The words that the glossary's last column has in `code`, each with the word that is used for it. */
function bannedWords(glossary) {
  const banned = new Map();
  for (const line of glossary.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    if (cells.length !== 5) continue;
    for (const [, word] of cells[3].matchAll(/`([a-z]+)`/g)) {
      banned.set(word, [...(banned.get(word) ?? []), cells[1]]);
    }
  }
  return banned;
}

function isSource(path) {
  return ROOMS.includes(path.split('/')[0]) && /\.(ts|js)$/.test(path) && !path.startsWith('proto/gen/');
}

/** The imports of a module from the rooms, with types, `export … from` and `import()`. */
function importsOf(path, files) {
  const found = new Set();
  for (const [, target] of files.get(path).matchAll(/(?:\bfrom|\bimport\(?)\s*'(\.{1,2}\/[^']+)'/g)) {
    const there = posix.join(posix.dirname(path), target);
    for (const file of [there, there.replace(/\.js$/, '.ts')]) if (files.has(file)) found.add(file);
  }
  return found;
}

/** The modules that import themselves, directly or over others (Tarjan's strongly connected components). */
function circles(imports) {
  const found = new Map();
  const index = new Map();
  const lowest = new Map();
  const stack = [];
  const visit = (path) => {
    index.set(path, index.size);
    lowest.set(path, index.get(path));
    stack.push(path);
    for (const next of imports.get(path) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) lowest.set(path, Math.min(lowest.get(path), lowest.get(next)));
    }
    if (lowest.get(path) !== index.get(path)) return;
    const circle = stack.splice(stack.indexOf(path));
    if (circle.length === 1 && !imports.get(path)?.has(path)) return;
    for (const member of circle) {
      const next = [...imports.get(member)].filter((each) => circle.includes(each));
      found.set(member, `${member} is in a circle of imports: it imports ${next.join(', ')}`);
    }
  };
  for (const path of imports.keys()) if (!index.has(path)) visit(path);
  return found;
}

function wideFolders(paths) {
  const counts = new Map();
  for (const path of paths) counts.set(posix.dirname(path), (counts.get(posix.dirname(path)) ?? 0) + 1);
  const found = new Map();
  for (const [folder, count] of counts) {
    if (count <= MOST_FILES || ANY_WIDTH.test(folder)) continue;
    found.set(folder, `${folder}/ holds ${count} files, more than ${MOST_FILES}: give some of them a folder`);
  }
  return found;
}

function strangers(imports) {
  const found = new Map();
  for (const [path, targets] of imports) {
    for (const [mine, ...others] of STRANGERS) {
      if (!path.startsWith(`${mine}/`)) continue;
      for (const other of others) {
        const target = [...targets].find((each) => each.startsWith(`${other}/`));
        if (target) found.set(path, `${path} imports ${target}: ${mine}/ does not import from ${other}/`);
      }
    }
  }
  return found;
}

function silent(sources, files) {
  const found = new Map();
  for (const { folder, of } of SILENT) {
    for (const path of sources.filter((each) => each.startsWith(`${folder}/`))) {
      const text = literals(files.get(path)).find((each) => of.some((start) => each.includes(start)));
      if (text) found.set(path, `${path} names '${text}': ${folder}/ is given the files of other rooms`);
    }
  }
  return found;
}

/** Banned words, whole, in identifiers and in the names of files and folders; a plural counts as the word. */
function words(sources, files, banned) {
  const found = new Map();
  for (const path of sources.filter((each) => !OWN_WORDS.includes(each.split('/')[0]))) {
    const names = new Set([...path.split('/'), ...(code(files.get(path)).match(/[A-Za-z_$][\w$]*/g) ?? [])]);
    for (const name of names) {
      for (const word of wordsOf(name)) {
        const instead = banned.get(word) ?? banned.get(word.replace(/e?[ds]$/, ''));
        if (!instead) continue;
        const sentence = `${name} in ${path} has the word "${word}": the glossary in docs/architecture.md`;
        found.set(name, `${sentence} has another for it, ${instead.join(' or ')}`);
      }
    }
  }
  return found;
}

/** `blobBytes`, `BLOB_BYTES` and `blob-bytes` are the words blob and bytes. */
function wordsOf(name) {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z]+/);
}

const COMMENT_OR_TEXT = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g;

/** A source without its comments and plain texts. */
function code(text) {
  return text.replace(COMMENT_OR_TEXT, ' ');
}

function literals(text) {
  const found = [...text.matchAll(COMMENT_OR_TEXT)].map(([each]) => each);
  return found.filter((each) => /^['"]/.test(each)).map((each) => each.slice(1, -1));
}

/** Checks this repository, or the one in the given folder. */
function main(root = fileURLToPath(new URL('..', import.meta.url))) {
  const list = ['ls-files', '--cached', '--others', '--exclude-standard'];
  const paths = execFileSync('git', list, { cwd: root, encoding: 'utf8' }).split('\n');
  const there = [...new Set(paths)].filter((path) => path && existsSync(join(root, path)));
  const read = (path) => readFileSync(join(root, path), 'utf8');
  const files = new Map(there.map((path) => [path, isSource(path) ? read(path) : '']));
  const found = problems(files, read('docs/architecture.md'));
  for (const problem of found) console.error(problem);
  if (found.length > 0) process.exitCode = 1;
}

main(process.argv[2]);
