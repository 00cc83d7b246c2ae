// Shows an inference server from its event stream: to its owner all of it, to a tenant its own requests.
import { History } from './charts.js';
import { at, badge, keyed, LiveTable, make, say, showFigures } from './dom.js';
import { bytes, clock, count, duration, rate } from './format.js';
import { showServer } from './live.js';
import { followAllOrOwn } from './login.js';
import { addBar, PARTS, showLegend } from './parts.js';

/** How many of the last requests are shown. */
const MOST_RECENT = 25;

const RATES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];
const charts = {
  requests: {
    place: 'requests-chart',
    said: 'requests-said',
    format: rate,
    incrs: RATES,
    series: [
      { key: 'requests', label: 'requests', color: '--up' },
      { key: 'failed', label: 'without a result', color: '--bad' },
    ],
  },
  batch: {
    place: 'batch-chart',
    said: 'batch-said',
    format: rate,
    incrs: RATES,
    series: [
      { key: 'mean', label: 'mean', color: '--submits' },
      { key: 'largest', label: 'largest', color: '--waits', dash: [4, 3] },
    ],
  },
  open: {
    place: 'open-chart',
    said: 'open-said',
    format: rate,
    incrs: RATES,
    series: [{ key: 'open', label: 'requests', color: '--down', keep: true }],
  },
};

/** The chart of one host's memory. Its box is made with it. */
function memoryChart(host, index) {
  const place = `memory-${index}`;
  at('memory-charts').append(
    make(
      'figure',
      {},
      make('figcaption', { id: `${place}-caption` }, host),
      make('div', {
        id: place,
        class: 'chart',
        role: 'img',
        'aria-labelledby': `${place}-caption ${place}-said`,
      }),
      make('p', { id: `${place}-said`, class: 'said' }),
    ),
  );
  const of = (use) => `${use} ${host}`;
  return {
    place,
    said: `${place}-said`,
    format: bytes,
    incrs: Array.from({ length: 50 }, (_, power) => 2 ** power),
    series: [
      { key: of('used'), label: 'used', color: '--up', keep: true },
      { key: of('reserved'), label: 'reserved', color: '--submits', keep: true },
      { key: of('others'), label: 'used by others', color: '--down', keep: true },
      { key: of('limit'), label: 'limit', color: '--bad', dash: [6, 4], keep: true },
    ],
  };
}

/** A second as the charts take it: numbers alone, by key. */
function flat({ memory = [], ...second }) {
  const uses = memory.flatMap(({ host, ...bytes }) =>
    Object.entries(bytes).map(([use, value]) => [`${use} ${host}`, value]),
  );
  return { ...second, mean: second.runs > 0 ? second.items / second.runs : 0, ...Object.fromEntries(uses) };
}

/** Made when it is known whether the page shows all. */
let history;
/** The charts of the hosts' memory, and the hosts that they show. */
let memories;
let shownHosts = [];

const times = new LiveTable(at('times'), {
  caption: 'By model and graph, of the last 500 requests with a result, at most five minutes old',
  none: 'No request has had a result of late.',
  columns: [
    { title: 'Model', text: ({ model, version }) => `${model} ${version}` },
    { title: 'Of', text: ({ of }) => of },
    { title: 'Requests', number: true, text: ({ requests }) => count(requests) },
    { title: 'In all', number: true, text: (row) => duration(row[row.of]) },
    ...PARTS.map(({ key, name }) => ({
      title: name,
      number: true,
      text: ({ parts, of }) => duration(parts[key][of]),
    })),
  ],
});

const recent = new LiveTable(at('recent'), {
  caption: 'The last requests that ended, the newest first',
  none: 'No request has ended since the server started.',
  columns: [
    { title: 'Model', text: ({ model, version }) => (version ? `${model} ${version}` : model || 'unknown') },
    { title: 'Tenant', text: ({ tenant }) => tenant },
    { title: 'Came', number: true, text: ({ at: time }) => clock(time) },
    { title: 'Took', number: true, text: ({ ms }) => duration(ms) },
    { title: 'Where the time went', fill: (cell, { parts }) => addBar(cell, parts) },
    { title: 'Batch', number: true, text: ({ largest }) => (largest > 0 ? count(largest) : '-') },
    { title: 'Lanes', text: ({ lanes }) => lanes.join(', ') || '-' },
    { title: 'Outcome', fill: (cell, { outcome }) => cell.append(badge(outcome, outcome === 'done')) },
    { title: 'Why', text: ({ why }) => why },
  ],
});

const queues = new LiveTable(at('queues'), {
  caption: 'Items that wait for a model, or for a function of a graph',
  none: 'Nothing is served.',
  columns: [
    { title: 'Model', text: ({ model, version, function: fn }) => fn ?? `${model} ${version}` },
    { title: 'Waiting', number: true, text: ({ waiting }) => count(waiting) },
    { title: 'Running', number: true, text: ({ running }) => count(running) },
    { title: 'Oldest waits', number: true, text: ({ oldest }) => (oldest > 0 ? duration(oldest) : '-') },
  ],
});

const lanes = new LiveTable(at('lanes'), {
  caption: 'Workers that run one batch at a time; those for functions only while they are not idle',
  none: 'There are no lanes.',
  columns: [
    { title: 'Lane', text: ({ name }) => name },
    { title: 'State', text: laneState },
    { title: 'Items', number: true, text: ({ items, state }) => (state === 'running' ? count(items) : '-') },
    { title: 'Since', number: true, text: ({ for: ms }) => (ms > 0 ? duration(ms) : '-') },
    { title: 'Loaded', text: ({ loaded }) => loaded.map(brief).join(', ') || '-' },
  ],
});

const hosts = new LiveTable(at('hosts'), {
  caption: 'By host, in bytes',
  none: 'There is no GPU host.',
  columns: [
    { title: 'Host', text: ({ name }) => name },
    { title: 'Limit', number: true, text: ({ memory }) => bytes(memory.limit) },
    { title: 'Used', number: true, text: ({ memory }) => bytes(memory.used) },
    { title: 'Reserved', number: true, text: ({ memory }) => bytes(memory.reserved) },
    { title: 'Used by others', number: true, text: ({ memory }) => bytes(memory.others) },
    { title: 'Weights', number: true, text: ({ memory }) => bytes(memory.weights) },
    { title: 'Runs', number: true, text: ({ memory }) => bytes(memory.runs) },
    { title: 'Values between steps', number: true, text: ({ memory }) => bytes(memory.values) },
    { title: 'Wait for a turn', number: true, text: ({ memory }) => count(memory.queue) },
  ],
});

const models = new LiveTable(at('models'), {
  caption: 'What the server’s folder has',
  none: 'The folder is empty.',
  columns: [
    { title: 'Name', text: ({ name }) => name },
    { title: 'Version', text: ({ version }) => version },
    { title: 'State', text: ({ state }) => state.toLowerCase() },
    { title: 'Why', text: ({ reason = '' }) => reason },
  ],
});

const tenants = new LiveTable(at('tenants'), {
  caption: 'Requests by tenant, since the start',
  none: 'Nobody has asked yet.',
  columns: [
    { title: 'Tenant', text: ({ tenant }) => tenant },
    { title: 'Wait or run', number: true, text: ({ open }) => count(open) },
    { title: 'Ended', number: true, text: ({ requests }) => count(requests) },
    { title: 'Without a result', number: true, text: ({ failed }) => count(failed) },
  ],
});

/** `det 1` for `model det version 1`. */
const brief = (title) => title.replace(/^model (.+) version (\d+)$/, '$1 $2');

function laneState({ state, what, reason }) {
  if (what) return `${state} ${brief(what)}`;
  return reason ? `${state}: ${reason}` : state;
}

function show({ server, seconds }) {
  const isOther = showServer(server);
  const { name, urls, now, tenant, all } = server;
  for (const each of document.querySelectorAll('[data-all]')) each.hidden = !all;
  say(at('about'), tenant === undefined ? name : `${name}, requests of ${tenant}`);
  say(at('urls'), urls.join(' '));
  say(at('top'), `farlight top --dashboard ${location.host}`);
  showProblem(server);
  showFigures(at('now'), figures(server));
  const both = server.times.flatMap((row) => ['median', 'p99'].map((of) => ({ ...row, of })));
  times.show(keyed(both, (row) => `${row.model} ${row.version} ${row.of}`));
  recent.show(keyed(server.recent.slice(0, MOST_RECENT), (row) => row.number));
  models.show(keyed(server.models, (row) => `${row.name} ${row.version}`));
  const gpus = (all?.hosts ?? []).filter(({ memory }) => memory);
  if (all) {
    queues.show(keyed(all.queues, (row) => `${row.model} ${row.version} ${row.function ?? ''}`));
    // There are many lanes for functions, and most of them are idle.
    const shownLanes = all.lanes.filter(({ resource, state }) => resource === 'gpu' || state !== 'idle');
    lanes.show(keyed(shownLanes, (row) => row.name));
    hosts.show(keyed(gpus, (row) => row.name));
    tenants.show(keyed(all.tenants, (row) => row.tenant));
  }
  history ??= new History(all ? Object.values(charts) : [charts.requests]);
  // Hosts of a pool come and go.
  const names = gpus.map((host) => host.name);
  if (names.join() !== shownHosts.join()) {
    shownHosts = names;
    memories?.end();
    at('memory-charts').replaceChildren();
    memories = new History(names.map(memoryChart), memories);
  }
  for (const each of [history, memories]) {
    if (isOther) each?.forget();
    each?.show(seconds.map(flat), now);
  }
}

function showProblem({ ready, models: served }) {
  const broken = served
    .filter(({ state }) => state !== 'READY')
    .map(({ name, version }) => `${name} ${version}`);
  at('problem').hidden = ready;
  if (ready) return;
  say(
    at('problem'),
    broken.length > 0 ? `Not every model can answer: ${broken.join(', ')}.` : 'No lane for models is open.',
  );
}

function figures({ open, rates, totals, all }) {
  const batch = rates.runs > 0 ? rate(rates.items / rates.runs) : '-';
  const own = [
    { name: 'Requests open', value: count(open), about: 'wait or run' },
    { name: 'Requests', value: `${rate(rates.requests)}/s`, about: `${count(totals.requests)} in all` },
    {
      name: 'Without a result',
      value: `${rate(rates.failed)}/s`,
      about: `${count(totals.failed)} in all`,
    },
  ];
  if (!all) return own;
  const free = all.lanes.filter(({ state }) => state === 'idle').length;
  return [
    ...own,
    { name: 'Runs', value: `${rate(rates.runs)}/s`, about: `${rate(rates.items)} items/s` },
    { name: 'Mean batch', value: batch, about: 'items, of the last seconds' },
    {
      name: 'Waiting work',
      value: duration(all.backlog),
      about: `${free} of ${all.lanes.length} lanes idle`,
    },
  ];
}

showLegend(at('legend'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  history?.repaint();
  memories?.repaint();
});
followAllOrOwn({ url: '../v2/farlight/events', event: 'server', title: 'Farlight inference' }, show);
