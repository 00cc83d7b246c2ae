// Shows the host from its event stream.
import { History } from './charts.js';
import { at, badge, LiveTable, make, say, showFigures } from './dom.js';
import { bytes, bytesPerSecond, clock, count, duration, rate, share, waitsPerSubmit } from './format.js';
import { follow, showServer } from './live.js';
import { sessionEnded, unwatch, watch, watchedSession } from './timeline.js';

const history = new History([
  {
    place: 'traffic-chart',
    said: 'traffic-said',
    format: bytesPerSecond,
    incrs: Array.from({ length: 40 }, (_, power) => 2 ** power),
    series: [
      { key: 'bytesUp', label: 'up', color: '--up' },
      { key: 'bytesDown', label: 'down', color: '--down' },
    ],
  },
  {
    place: 'work-chart',
    said: 'work-said',
    format: rate,
    incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000],
    series: [
      { key: 'submits', label: 'submits', color: '--submits' },
      { key: 'waits', label: 'waits', color: '--waits' },
    ],
  },
]);

const sessions = new LiveTable(at('sessions'), {
  caption: 'Open sessions; click a program’s name to open its timeline',
  none: 'No session is open. Start a program with: farlight run --host … -- node app.mjs',
  columns: [
    { title: 'Program', fill: (cell, row) => cell.append(watchButton(row)) },
    { title: 'Session', text: ({ session }) => session },
    { title: 'Tenant', text: ({ tenant }) => tenant },
    { title: 'Adapter', text: ({ adapter }) => adapter || 'opening the GPU' },
    { title: 'GPU memory', number: true, text: ({ work }) => bytes(work.gpuBytes) },
    {
      title: 'Submits/s',
      number: true,
      text: ({ rates, parked }) => (parked ? 'parked' : rate(rates.submits)),
    },
    { title: 'Waits/s', number: true, text: ({ rates }) => rate(rates.waits) },
    { title: 'Waits per submit', number: true, text: ({ work }) => waitsPerSubmit(work) },
    { title: 'Up', number: true, text: ({ traffic }) => bytes(traffic.bytesUp) },
    { title: 'Down', number: true, text: ({ traffic }) => bytes(traffic.bytesDown) },
    { title: 'Open for', number: true, text: ({ since, now }) => duration(now - since) },
  ],
});

const ends = new LiveTable(at('ends'), {
  caption: 'The last sessions that ended, the newest first',
  none: 'No session has ended since the host started.',
  columns: [
    { title: 'Program', text: ({ program }) => program },
    { title: 'Session', text: ({ session }) => session },
    { title: 'Tenant', text: ({ tenant }) => tenant },
    { title: 'Reason', fill: (cell, { code }) => cell.append(endBadge(code)) },
    { title: 'Why', text: ({ why }) => why },
    { title: 'Ended', number: true, text: ({ at: time }) => clock(time) },
    { title: 'Open for', number: true, text: ({ seconds }) => duration(seconds * 1000) },
    { title: 'Up', number: true, text: ({ bytesUp }) => bytes(bytesUp) },
    { title: 'Down', number: true, text: ({ bytesDown }) => bytes(bytesDown) },
  ],
});

const contents = new LiveTable(at('contents'), {
  caption: 'Contents on disk, which clients need not send again, by tenant',
  none: 'There are no contents on disk.',
  columns: [
    { title: 'Tenant', text: ({ tenant }) => tenant ?? 'a tenant without sessions since the host started' },
    { title: 'Contents', number: true, text: (row) => count(row.count) },
    { title: 'Bytes', number: true, text: (row) => bytes(row.bytes) },
  ],
});

function watchButton({ session, program }) {
  const button = make('button', { type: 'button', class: 'link', 'aria-pressed': 'false' }, program);
  button.addEventListener('click', () => {
    const isWatched = watchedSession() === session;
    unwatch();
    if (!isWatched) {
      watch(session, program, () => {
        button.setAttribute('aria-pressed', 'false');
        if (button.isConnected) button.focus();
      });
      button.setAttribute('aria-pressed', 'true');
    }
  });
  return button;
}

function endBadge(code) {
  return badge(code, ['CLOSED', 'MOVED', 'SHUTTING_DOWN'].includes(code));
}

function show({ host, seconds }) {
  if (showServer(host)) history.forget();
  const { adapter, url, now } = host;
  say(at('adapter'), adapter ? `${adapter.name}${adapter.software ? ' (software)' : ''}` : 'no GPU');
  say(at('url'), url);
  at('problem').hidden = host.adapterProblem === '';
  say(at('problem'), host.adapterProblem);
  showFigures(at('now'), nowFigures(host));
  showFigures(at('saved'), savedFigures(host));
  showExecutors(host.executors);
  sessions.show(new Map(host.sessions.map((each) => [each.session, { ...each, now }])), watchedSession());
  ends.show(new Map(host.ends.map((each) => [`${each.session} ${each.at}`, each])));
  contents.show(new Map((host.contents ?? []).map((each, index) => [`${index} ${each.tenant ?? ''}`, each])));
  history.show(seconds, now);
  const watched = watchedSession();
  if (watched && !host.sessions.some(({ session }) => session === watched)) sessionEnded();
}

function nowFigures({ sessions: open, rates, totals, counters, gpuMemory }) {
  return [
    {
      name: 'Sessions open',
      value: count(open.length),
      about: `${count(counters.sessionsOpened)} since the start`,
    },
    { name: 'Submits', value: `${rate(rates.submits)}/s`, about: `${count(totals.submits)} in all` },
    { name: 'Waits', value: `${rate(rates.waits)}/s`, about: `${count(totals.waits)} in all` },
    { name: 'Bytes up', value: bytesPerSecond(rates.bytesUp), about: `${bytes(totals.bytesUp)} in all` },
    {
      name: 'Bytes down',
      value: bytesPerSecond(rates.bytesDown),
      about: `${bytes(totals.bytesDown)} in all`,
    },
    { name: 'GPU memory', value: bytes(totals.gpuBytes), about: aboutMemory(totals, gpuMemory) },
  ];
}

function aboutMemory({ gpuReserved }, { capacity }) {
  const reserved = gpuReserved > 0 ? `, and ${bytes(gpuReserved)} reserved` : '';
  return `buffers and textures${reserved}, ${capacity === undefined ? 'capacity unknown' : `of ${bytes(capacity)}`}`;
}

function savedFigures({ totals, counters }) {
  return [
    {
      name: 'Commands that came as names',
      value: share(totals.asNames, totals.commands),
      about: `${count(totals.asNames)} of ${count(totals.commands)}`,
    },
    {
      name: 'Bytes not sent',
      value: bytes(totals.bytesNotSent),
      about: `${count(totals.contentsNamed)} contents that the host had`,
    },
    {
      name: 'Compile time saved',
      value: duration(totals.compileMsSaved),
      about: `${duration(totals.compileMs)} spent`,
    },
    { name: 'Objects shared', value: count(totals.objectsShared), about: 'existed already' },
    {
      name: 'Executors reused',
      value: count(counters.executorsReused),
      about: `of ${count(counters.sessionsOpened)} sessions`,
    },
  ];
}

const STATES = [
  { key: 'busy', name: 'Busy with a session' },
  { key: 'spare', name: 'Ready for any program' },
  { key: 'warm', name: 'Warm for a program’s next session' },
  { key: 'changing', name: 'Starting, clearing up or ending' },
];

function showExecutors(executors) {
  const bar = at('executors-bar');
  if (bar.children.length === 0) bar.append(...STATES.map(({ key }) => make('span', { class: key })));
  for (const [index, { key }] of STATES.entries()) {
    bar.children[index].style.flexGrow = String(executors[key]);
    bar.children[index].hidden = executors[key] === 0;
  }
  showFigures(
    at('executors'),
    STATES.map(({ key, name }) => ({ name, kind: key, value: count(executors[key]) })),
  );
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => history.repaint());
follow('host', 'Farlight host', show);
