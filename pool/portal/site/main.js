// Shows a portal from its events, and books, shows and releases hosts.
import { History } from './charts.js';
import { at, LiveTable, make, say, showFigures } from './dom.js';
import { clock, count, duration } from './format.js';
import { showServer } from './live.js';
import { showAddress, showLog } from './panel.js';
import { ask, follow, hasToken, setToken, Unauthorized } from './portal-link.js';

const TINY = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
const history = new History([
  {
    place: 'hosts-chart',
    said: 'hosts-said',
    format: count,
    incrs: TINY,
    series: [
      { key: 'used', label: 'used', color: '--submits', keep: true },
      { key: 'unused', label: 'idle', color: '--down', keep: true },
      { key: 'max', label: 'allowed', color: '--quiet', dash: [4, 4], keep: true },
    ],
  },
  {
    place: 'waiting-chart',
    said: 'waiting-said',
    format: count,
    incrs: TINY,
    series: [{ key: 'waiting', label: 'waiting', color: '--up', keep: true }],
  },
]);

/** Hosts that a slot has, in these phases. */
const THERE = new Set(['queued', 'starting', 'ready', 'releasing', 'failed']);

/** The last state of the portal. */
let shown;

const gpuSeconds = (value) => `${value < 100 ? value.toFixed(1) : count(value)} s`;

const pools = new LiveTable(at('pools'), {
  caption: 'Pools, and how many hosts they have',
  none: 'The portal serves no pools.',
  columns: [
    { title: 'Pool', text: ({ name }) => name },
    { title: 'Engine', text: ({ engine }) => engine },
    { title: 'Hosts', paint: paintHosts },
    { title: 'Waiting', number: true, text: ({ waiting }) => count(waiting) },
    { title: 'Files', text: ({ files }) => files ?? 'none' },
    { title: 'Given back after', number: true, text: ({ idle }) => duration(idle * 1000) },
    { title: 'Engine says', text: ({ silence }) => silence ?? 'it answers' },
  ],
});

const bookings = new LiveTable(at('bookings'), {
  caption: 'Programs and people that wait for a host, or have one, in the order in which they came',
  none: 'Nobody waits, and nobody has a host.',
  columns: [
    { title: 'Program', text: programText },
    { title: 'Pool', text: ({ pool }) => pool },
    { title: 'Tenant', text: ({ tenant }) => tenant },
    { title: 'State', paint: (cell, { phase }) => paintBadge(cell, phase) },
    { title: 'Where or why', text: whereOrWhy },
    { title: 'Waited', number: true, text: ({ asked, ready, now }) => duration((ready ?? now) - asked) },
    {
      title: 'Has it for',
      number: true,
      text: ({ ready, now }) => (ready === undefined ? '-' : duration(now - ready)),
    },
    { title: 'Actions', fill: fillActions, paint: paintActions },
  ],
});

const hosts = new LiveTable(at('hosts'), {
  caption: 'Hosts that the engines run, start or end',
  none: 'There are no hosts now. The first booking has one started.',
  columns: [
    { title: 'Host', text: ({ pool, slot, term }) => `${pool} ${slot}, term ${term}` },
    { title: 'State', paint: (cell, { phase }) => paintBadge(cell, phase) },
    { title: 'Node', text: ({ node }) => node ?? '-' },
    { title: 'Job', text: ({ job }) => job ?? '-' },
    {
      title: 'Tenant',
      text: ({ tenant, isOutside }) => tenant ?? (isOutside ? 'outside of the portal' : '-'),
    },
    {
      title: 'Sessions',
      number: true,
      text: ({ sessions }) => (sessions === undefined ? '-' : count(sessions)),
    },
    { title: 'Why', text: ({ why }) => why },
    {
      title: 'Actions',
      fill: (cell, { pool, slot }) => {
        const log = () =>
          showLog(`${pool} ${slot}`, `/v1/pools/${encodeURIComponent(pool)}/hosts/${slot}/log`);
        cell.append(action('Log', `Log of host ${slot} of ${pool}`, log));
      },
      paint: (cell, { tenant, term }) => {
        cell.firstElementChild.hidden = term === 0 || (tenant === undefined && !shown.you.isOwner);
      },
    },
  ],
});

const costs = new LiveTable(at('costs'), {
  caption: 'GPU time by pool and tenant',
  none: 'Nobody has had a host yet.',
  columns: [
    { title: 'Tenant', text: ({ tenant }) => tenant },
    { title: 'Pool', text: ({ pool }) => pool },
    { title: 'GPU used', number: true, text: ({ used }) => gpuSeconds(used) },
    { title: 'GPU idle', number: true, text: ({ idle }) => gpuSeconds(idle) },
    { title: 'Hosts started', number: true, text: (row) => count(row.hosts) },
    { title: 'Bookings', number: true, text: (row) => count(row.bookings) },
  ],
});

const ends = new LiveTable(at('ends'), {
  caption: 'The last bookings that ended, the newest first',
  none: 'No booking has ended since the portal started.',
  columns: [
    { title: 'Program', text: programText },
    { title: 'Pool', text: ({ pool }) => pool },
    { title: 'Tenant', text: ({ tenant }) => tenant },
    { title: 'Why', text: ({ why }) => why },
    { title: 'Waited', number: true, text: ({ asked, ready, ended }) => duration((ready ?? ended) - asked) },
    {
      title: 'Had it for',
      number: true,
      text: ({ ready, ended }) => (ready === undefined ? 'none' : duration(ended - ready)),
    },
    { title: 'Ended', number: true, text: ({ ended }) => clock(ended) },
  ],
});

const STATES = { ready: 'well', waiting: 'quiet', queued: 'quiet', starting: 'quiet', releasing: 'quiet' };

function paintBadge(cell, phase) {
  const badge = cell.firstElementChild ?? cell.appendChild(make('span'));
  badge.className = `badge ${STATES[phase] ?? ''}`;
  say(badge, phase);
}

function programText({ program, hosts: number }) {
  // The number and its word stay in one line.
  return number > 1 ? `${program} (${count(number)}\u00a0hosts)` : program;
}

function whereOrWhy({ phase, why, ahead, until }) {
  if (phase === 'ready') return until === undefined ? why : `${why}, until ${clock(until)}`;
  return ahead > 0 ? `${why}; ${count(ahead)} of its tenant before it` : why;
}

function paintHosts(cell, pool) {
  const said = cell.querySelector('span') ?? cell.appendChild(make('span'));
  const bar =
    cell.querySelector('div') ?? cell.appendChild(make('div', { class: 'bar', 'aria-hidden': 'true' }));
  const parts = partsOf(pool);
  say(said, `${parts.used + parts.unused + parts.coming} of ${pool.max}, ${parts.used} with a session`);
  for (const [index, [name, value]] of Object.entries(parts).entries()) {
    const part = bar.children[index] ?? bar.appendChild(make('span', { class: name }));
    part.style.flexGrow = String(value);
    part.hidden = value === 0;
  }
}

function partsOf({ hosts: all, max }) {
  const ready = all.filter(({ phase }) => phase === 'ready');
  const used = ready.filter(({ sessions = 0, isOutside }) => sessions > 0 || isOutside).length;
  const coming = all.filter(({ phase }) => ['queued', 'starting', 'releasing'].includes(phase)).length;
  return { used, unused: ready.length - used, coming, free: max - ready.length - coming };
}

function action(text, label, act) {
  const button = make('button', { type: 'button', class: 'link', 'aria-label': label }, text);
  button.addEventListener('click', act);
  return button;
}

function fillActions(cell, { id, program, pool }) {
  const path = `/v1/bookings/${encodeURIComponent(id)}`;
  const release = async () => {
    if (!confirm(`Release the booking of ${program} in ${pool}? Its sessions end.`)) return;
    await told(at('book-said'), () => ask('DELETE', path));
  };
  const buttons = make('div', { class: 'actions' });
  buttons.append(
    action('Address', `Address of the host of ${program}`, () => showAddress(program, id)),
    action('Log', `Log of the host of ${program}`, () => showLog(program, `${path}/log`)),
    action('Release', `Release the booking of ${program}`, release),
  );
  cell.append(buttons);
}

function paintActions(cell, { phase, tenant, places }) {
  const [address, log] = cell.querySelectorAll('button');
  address.hidden = phase !== 'ready' || tenant !== shown.you.tenant;
  log.hidden = places.length === 0;
}

function show({ portal, seconds }) {
  if (showServer(portal)) history.forget();
  shown = portal;
  const { now, you } = portal;
  at('signed-in').hidden = false;
  at('sign-in').hidden = true;
  at('sign-out').hidden = !hasToken();
  say(
    at('you'),
    you.isOwner ? `${you.tenant}, owner: sees all tenants` : `${you.tenant}: sees its own bookings`,
  );
  showFigures(at('now'), figures(portal));
  showChoices(portal.pools);
  const rows = (list) =>
    portal.pools.flatMap((pool) => list(pool).map((each) => ({ ...each, pool: pool.name, now })));
  pools.show(new Map(portal.pools.map((pool) => [pool.name, pool])));
  bookings.show(new Map(rows((pool) => pool.bookings).map((each) => [each.id, each])));
  const there = rows((pool) => pool.hosts).filter(({ phase }) => THERE.has(phase));
  hosts.show(new Map(there.map((each) => [`${each.pool} ${each.slot}`, each])));
  costs.show(new Map(rows((pool) => pool.costs).map((each) => [`${each.pool} ${each.tenant}`, each])));
  ends.show(new Map(portal.ends.map((each) => [each.id, each])));
  history.show(seconds, now);
}

function figures({ pools: all, you }) {
  const sum = (value) => all.map(value).reduce((total, each) => total + each, 0);
  const parts = all.map(partsOf);
  const used = parts.reduce((total, each) => total + each.used, 0);
  const unused = parts.reduce((total, each) => total + each.unused, 0);
  const waiting = sum((pool) => pool.waiting);
  const own = sum(
    (pool) =>
      pool.bookings.filter(({ tenant, phase }) => tenant === you.tenant && phase === 'waiting').length,
  );
  const cost = (name) => sum((pool) => pool.costs.reduce((total, each) => total + each[name], 0));
  const whose = you.isOwner ? 'of all tenants' : 'of your tenant';
  return [
    { name: 'Hosts ready', value: count(used + unused), about: `of ${count(sum(({ max }) => max))} at most` },
    { name: 'With a session', value: count(used), about: `${count(unused)} without one` },
    { name: 'Waiting', value: count(waiting), about: `${count(own)} of them yours` },
    { name: 'GPU used', value: gpuSeconds(cost('used')), about: whose },
    { name: 'GPU idle', value: gpuSeconds(cost('idle')), about: whose },
  ];
}

function showChoices(all) {
  const select = at('book-pool');
  const names = all.map(({ name }) => name);
  if (names.join('\n') === [...select.options].map(({ value }) => value).join('\n')) return;
  select.replaceChildren(...names.map((name) => make('option', { value: name }, name)));
}

/** Does something, and says below the form how it went. */
async function told(place, act, done = '') {
  try {
    await act();
    say(place, done);
  } catch (error) {
    say(place, error.message);
    if (error instanceof Unauthorized) signIn(error.message);
  }
}

at('book').addEventListener('submit', (event) => {
  event.preventDefault();
  const pool = at('book-pool').value;
  const minutes = Number(at('book-minutes').value);
  const path = `/v1/pools/${encodeURIComponent(pool)}/bookings`;
  const wish = { program: 'a person at the page', seconds: minutes * 60 };
  void told(
    at('book-said'),
    () => ask('POST', path, wish),
    `A host of ${pool} is booked; the table of bookings has its address when it is ready.`,
  );
});

at('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  setToken(at('token').value.trim());
  at('token').value = '';
  void watch();
});

at('sign-out').addEventListener('click', () => {
  setToken(undefined);
  location.reload();
});

function signIn(why) {
  setToken(undefined);
  at('signed-in').hidden = true;
  at('sign-in').hidden = false;
  say(at('status'), 'signed out');
  if (why) say(at('sign-in-said'), why);
  at('token').focus();
}

async function watch() {
  const asked = hasToken();
  try {
    await follow(show);
  } catch (error) {
    // The first time nobody has made a mistake.
    signIn(asked ? error.message : undefined);
  }
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => history.repaint());
void watch();
