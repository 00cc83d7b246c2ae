// Shows a stream application from its event stream: to its owner all of it, to a tenant the records that it has posted.
import { History } from './charts.js';
import { at, badge, keyed, LiveTable, say, showFigures } from './dom.js';
import { bytes, clock, count, duration, rate } from './format.js';
import { Graph } from './graph.js';
import { showServer } from './live.js';
import { followAllOrOwn } from './login.js';

const PHASES = {
  compiling: 'models are compiled and functions are loaded; the old version runs',
  replaying: 'records from before the last start come first; the old version runs',
  ready: 'all is ready here, and the cut waits for other workers; the old version runs',
  passing: 'records before the cut pass through the old version, and later ones through the new one',
};

const RATES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000];
const charts = [
  {
    place: 'rates-chart',
    said: 'rates-said',
    format: rate,
    incrs: RATES,
    series: [
      { key: 'passed', label: 'records passed', color: '--up' },
      { key: 'outputs', label: 'outputs', color: '--submits', dash: [6, 4] },
      { key: 'failed', label: 'failed', color: '--bad' },
    ],
  },
  {
    place: 'lag-chart',
    said: 'lag-said',
    format: duration,
    incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000, 600_000],
    series: [{ key: 'lag', label: 'longest', color: '--down' }],
  },
  {
    place: 'open-chart',
    said: 'open-said',
    format: count,
    incrs: RATES,
    series: [
      { key: 'passing', label: 'on their way', color: '--up', keep: true },
      { key: 'waiting', label: 'in the log', color: '--down', keep: true },
    ],
  },
  {
    place: 'batch-chart',
    said: 'batch-said',
    format: rate,
    incrs: RATES,
    series: [
      { key: 'mean', label: 'mean', color: '--submits' },
      { key: 'largest', label: 'largest', color: '--waits', dash: [4, 3] },
    ],
  },
];

const perSecond = ({ rate: value }) => `${rate(value)}/s`;

const steps = new LiveTable(at('steps'), {
  caption: 'Each with means of the last seconds',
  none: 'The application has no steps.',
  columns: [
    { title: 'Step', text: ({ name, uid }) => (name === uid ? name : `${name} (${uid})`) },
    { title: 'Runs', text: ({ what }) => what },
    { title: 'Records', number: true, text: ({ records }) => count(records) },
    { title: 'Rate', number: true, text: perSecond },
    { title: 'Time of each', number: true, text: ({ ms, rate: value }) => (value > 0 ? duration(ms) : '-') },
    { title: 'Running', number: true, text: ({ running }) => count(running) },
    { title: 'Batch', number: true, text: ({ items }) => (items > 0 ? rate(items) : '-') },
    { title: 'Largest', number: true, text: ({ largest }) => (largest > 0 ? count(largest) : '-') },
    { title: 'Failed', number: true, text: ({ failed }) => count(failed) },
    { title: 'State', text: ({ hasState }) => (hasState ? 'by key' : '-') },
    { title: 'Upgrade', text: changeText },
  ],
});

const sources = new LiveTable(at('sources'), {
  caption: 'Records wait in the log, on the disk',
  none: 'The application has no sources.',
  columns: [
    { title: 'Source', text: ({ name }) => name },
    { title: 'Records', number: true, text: ({ records }) => count(records) },
    { title: 'Rate', number: true, text: perSecond },
    { title: 'Waiting', number: true, text: ({ waiting }) => count(waiting) },
    { title: 'Log', number: true, text: (row) => (row.bytes === undefined ? '-' : bytes(row.bytes)) },
    { title: 'Put aside', number: true, text: ({ aside = 0 }) => count(aside) },
    { title: 'Fails', text: ({ problem }) => problem ?? '-' },
  ],
});

const sinks = new LiveTable(at('sinks'), {
  caption: 'Outputs since the start',
  none: 'The application has no sinks.',
  columns: [
    { title: 'Sink', text: ({ name }) => name },
    { title: 'Goes to', text: ({ what }) => what },
    { title: 'Outputs', number: true, text: ({ records }) => count(records) },
    { title: 'Rate', number: true, text: perSecond },
  ],
});

const workers = new LiveTable(at('workers'), {
  caption: 'Each runs the whole graph for its partitions',
  none: 'No worker has come yet: start one with farlight stream worker.',
  columns: [
    { title: 'Worker', text: ({ id }) => id },
    { title: 'Partitions', text: ({ partitions, problem }) => problem ?? (partitions.join(', ') || '-') },
    { title: 'Rate', number: true, text: perSecond },
    { title: 'On their way', number: true, text: ({ passing }) => count(passing) },
    { title: 'Last heard', number: true, text: ({ silent }) => duration(silent) },
  ],
});

const partitions = new LiveTable(at('partitions'), {
  caption: 'Each has the records of some keys',
  none: 'There are no partitions.',
  columns: [
    { title: 'Partition', text: ({ partition }) => String(partition) },
    { title: 'Worker', text: ({ worker }) => worker || 'none' },
    { title: 'Rate', number: true, text: perSecond },
    { title: 'Waiting', number: true, text: ({ waiting }) => count(waiting) },
    { title: 'On their way', number: true, text: ({ passing }) => count(passing) },
    { title: 'Log to sink', number: true, text: ({ lag }) => (lag === undefined ? '-' : duration(lag)) },
    { title: 'Epoch', number: true, text: ({ epoch }) => count(epoch) },
    { title: 'Upgrade', text: ({ upgrade }) => upgrade ?? '-' },
  ],
});

const outputs = new LiveTable(at('outputs'), {
  caption: 'Of sinks to this page, the newest first',
  none: 'There is no output yet.',
  columns: [
    { title: 'Sink', text: ({ sink }) => sink },
    { title: 'Key', text: ({ key }) => key },
    { title: 'At', number: true, text: ({ at: time }) => clock(time) },
    { title: 'Values', text: ({ text }) => text },
  ],
});

const upgrades = new LiveTable(at('upgrades'), {
  caption: 'That have ended since the start, the newest first',
  none: 'There was none since the start.',
  columns: [
    { title: 'Version', text: ({ to }) => to },
    { title: 'At', number: true, text: ({ at: time }) => clock(time) },
    { title: 'Took', number: true, text: ({ ms }) => duration(ms) },
    { title: 'Changes', text: ({ changes }) => changes.join(', ') },
    {
      title: 'Outcome',
      fill: (cell, { epoch }) =>
        cell.append(
          epoch === undefined ? badge('given up', false) : badge(`runs since epoch ${epoch}`, true),
        ),
    },
    { title: 'Why', text: ({ why = '' }) => why },
  ],
});

const posted = new LiveTable(at('posted'), {
  caption: 'By tenant and source, since the start',
  none: 'Nobody has posted a record yet.',
  columns: [
    { title: 'Tenant', text: ({ tenant }) => tenant },
    { title: 'Source', text: ({ source }) => source },
    { title: 'Taken', number: true, text: ({ records }) => count(records) },
    { title: 'Rate', number: true, text: perSecond },
    { title: 'Taken before', number: true, text: ({ repeated }) => count(repeated) },
    { title: 'Refused', number: true, text: ({ refused }) => count(refused) },
  ],
});

const graph = new Graph(at('graph'));
/** Made when it is known whether the page shows all. */
let history;

function changeText({ change, details = [], state }) {
  if (change === undefined) return '-';
  return [change, ...details, ...(state ? [`state ${state}`] : [])].join('; ');
}

function show({ application, seconds }) {
  const isOther = showServer(application);
  const { name, urls, now, tenant, all } = application;
  for (const each of document.querySelectorAll('[data-all]')) each.hidden = !all;
  say(at('about'), tenant === undefined ? `${name}, version ${all.id}` : `${name}, records of ${tenant}`);
  say(at('urls'), urls.join(' '));
  say(at('top'), `farlight top --dashboard ${location.host}`);
  posted.show(keyed(application.posted, (row) => `${row.tenant} ${row.source}`));
  if (!all) return;
  showUpgrade(all);
  showFigures(at('now'), figures(all));
  graph.show(all.nodes);
  const of = (kind) =>
    keyed(
      all.nodes.filter((node) => node.kind === kind),
      ({ id }) => id,
    );
  sources.show(of('source'));
  steps.show(of('step'));
  sinks.show(of('sink'));
  upgrades.show(keyed(all.upgrades, (row) => row.at));
  for (const place of ['workers-section', 'partitions-section']) at(place).hidden = !all.workers;
  if (all.workers) {
    workers.show(keyed(all.workers.workers, ({ id }) => id));
    partitions.show(keyed(all.workers.partitions, ({ partition }) => partition));
  }
  at('outputs-section').hidden = all.outputs === undefined;
  outputs.show(keyed(all.outputs ?? [], (row) => `${row.sink} ${row.id}`));
  history ??= new History(charts);
  if (isOther) history.forget();
  history.show(
    seconds.map((second) => ({ ...second, mean: second.runs > 0 ? second.items / second.runs : 0 })),
    now,
  );
}

function showUpgrade({ upgrade, nodes }) {
  at('upgrade').hidden = !upgrade;
  if (!upgrade) return;
  const changes = nodes.filter(({ change }) => change && change !== 'kept');
  const names = changes.map(({ name, change }) => `${name} (${change})`).join(', ');
  say(
    at('upgrade'),
    `An upgrade to version ${upgrade.to} is under way: ${names}. Now ${PHASES[upgrade.phase]}.`,
  );
}

function ownedText({ partitions: all }) {
  const owned = all.filter(({ worker }) => worker !== '').length;
  return `run ${count(owned)} of ${count(all.length)} partitions`;
}

function figures({ rates, passing, waiting, lag, epoch, nodes, workers: shared }) {
  const largest = Math.max(0, ...nodes.map((node) => node.largest ?? 0));
  return [
    { name: 'Records', value: `${rate(rates.records)}/s`, about: `${rate(rates.failed)}/s failed` },
    { name: 'Outputs', value: `${rate(rates.outputs)}/s`, about: 'of all sinks' },
    {
      name: 'On their way',
      value: count(passing),
      about: shared ? 'records of all workers' : 'records, at most 1,000',
    },
    { name: 'In the log', value: count(waiting), about: 'records that wait' },
    { name: 'Log to sink', value: duration(lag.median), about: `${duration(lag.p99)} for 99 of 100` },
    {
      name: 'Epoch',
      value: count(epoch),
      about:
        largest > 0
          ? `batches of at most ${count(largest)}`
          : `grows with each ${shared ? 'upgrade' : 'checkpoint'}`,
    },
    ...(shared ? [{ name: 'Workers', value: count(shared.workers.length), about: ownedText(shared) }] : []),
  ];
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => history?.repaint());
followAllOrOwn({ url: '../v1/status/events', event: 'application', title: 'Farlight stream' }, show);
