// The timeline of one session: a picture that zooms and moves, and a table with the same.
import { at, LiveTable, say } from './dom.js';
import { bytes, duration } from './format.js';
import { TimelineView, ticks } from './timeline-view.js';
import { TRACKS, Tracks } from './tracks.js';

const LABELS = 124;
const SCALE = 22;
/** How often a live picture moves, in milliseconds: smoothly, or with reduced motion once a second. */
const MOVES = matchMedia('(prefers-reduced-motion: reduce)').matches ? 1000 : 50;

const canvas = at('timeline-canvas');
const drawing = canvas.getContext('2d');
let table;
/** The watched session, with its event stream, its tracks, and the view. */
let watched;

export const watchedSession = () => watched?.session;

export function watch(session, program, onChange) {
  unwatch();
  const source = new EventSource(`/watch?session=${encodeURIComponent(session)}`);
  const tracks = new Tracks();
  watched = { session, source, tracks, view: new TimelineView(), behind: undefined, onChange, timer: 0 };
  const mine = watched;
  source.addEventListener('spans', ({ data }) => {
    tracks.add(JSON.parse(data));
    // The executor has another clock: assume that its newest span ended just now.
    mine.behind = Math.min(mine.behind ?? Number.POSITIVE_INFINITY, performance.now() - tracks.last);
  });
  mine.timer = setInterval(draw, MOVES);
  table ??= trackTable();
  say(at('timeline-heading'), `Timeline of ${program} (${session})`);
  say(at('timeline-said'), 'The timeline shows the session from now on.');
  at('timeline').hidden = false;
  at('timeline-heading').focus();
  draw();
}

export function unwatch() {
  if (!watched) return;
  watched.source.close();
  clearInterval(watched.timer);
  const { onChange } = watched;
  watched = undefined;
  at('timeline').hidden = true;
  onChange();
}

/** The session has ended: its timeline stays. */
export function sessionEnded() {
  if (!watched || watched.ended) return;
  watched.source.close();
  watched.ended = true;
  watched.view.end = watched.tracks.last;
  clearInterval(watched.timer);
  draw();
  say(at('timeline-said'), 'The session has ended; its timeline stays.');
}

function trackTable() {
  return new LiveTable(at('tracks'), {
    caption: 'The picture as a table, track by track',
    none: 'No spans yet.',
    columns: [
      { title: 'Track', text: ({ title }) => title },
      { title: 'What it is', text: ({ about }) => about },
      { title: 'Spans', number: true, text: ({ count }) => String(count) },
      { title: 'Busy', number: true, text: ({ busy }) => (busy === 0 ? '-' : duration(busy)) },
      {
        title: 'Of the time',
        number: true,
        text: ({ busy, span }) => `${((100 * busy) / span).toFixed(1)}%`,
      },
      {
        title: 'Longest',
        text: ({ longest }) =>
          longest && longest.end > longest.start
            ? `${duration(longest.end - longest.start)}, ${longest.text}`
            : '-',
      },
    ],
  });
}

function draw() {
  if (!watched || document.hidden) return;
  const { view, tracks, behind } = watched;
  if (!watched.ended) view.now = behind === undefined ? tracks.last : performance.now() - behind;
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const styles = getComputedStyle(document.documentElement);
  const color = (name) => styles.getPropertyValue(name).trim();
  drawing.setTransform(scale, 0, 0, scale, 0, 0);
  drawing.clearRect(0, 0, width, height);
  const left = labelWidth(width);
  const across = width - left;
  const x = (time) => left + ((time - view.from) / view.span) * across;
  drawing.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  drawing.textBaseline = 'middle';
  drawScale({ view, x, height, color, across });
  const each = (height - SCALE) / TRACKS.length;
  TRACKS.forEach(({ key, title, color: name }, index) => {
    const top = SCALE + index * each;
    drawing.fillStyle = color('--line');
    drawing.fillRect(0, top, width, 1);
    drawing.fillStyle = color('--text');
    drawing.fillText(title, 0, top + each / 2, left - 8);
    drawing.fillStyle = color(name);
    drawSpans(tracks.tracks.get(key), { view, x, top: top + 5, height: each - 9, left });
  });
  at('live').setAttribute('aria-pressed', String(view.live && !watched.ended));
  if (performance.now() - (watched.summarized ?? 0) < 950) return;
  watched.summarized = performance.now();
  summarize();
}

function summarize() {
  const { tracks, view } = watched;
  const rows = tracks.summary(view.from, view.to).map((row) => [row.key, { ...row, span: view.span }]);
  table.show(tracks.last === 0 ? new Map() : new Map(rows));
}

function drawScale({ view, x, height, color, across }) {
  for (const tick of ticks(-view.span, 0, Math.max(2, across / 110))) {
    const place = x(view.to + tick);
    drawing.fillStyle = color('--line');
    drawing.fillRect(place, SCALE - 4, 1, height);
    drawing.fillStyle = color('--quiet');
    const text = tick === 0 ? (view.live && !watched.ended ? 'now' : '0') : `−${duration(-tick)}`;
    drawing.textAlign = tick === 0 ? 'right' : 'center';
    drawing.fillText(text, place, SCALE / 2 - 2);
  }
  drawing.textAlign = 'left';
}

/** Draws spans at least a pixel wide, and skips those that would fall on the same pixel. */
function drawSpans(spans, { view, x, top, height, left }) {
  let drawn = Number.NEGATIVE_INFINITY;
  for (const { start, end } of spans) {
    if (end < view.from || start > view.to) continue;
    const from = Math.max(left, x(start));
    const to = Math.max(from + 1.5, x(end));
    if (to <= drawn + 0.5 && to - from < 2) continue;
    drawn = to;
    drawing.fillRect(from, top, to - from, height);
  }
}

const labelWidth = (width) => Math.min(LABELS, width * 0.28);

/** The place of a pointer event in the picture: the share of the width, and the track. */
function place({ clientX, clientY }) {
  const box = canvas.getBoundingClientRect();
  const left = labelWidth(box.width);
  const track = Math.floor((clientY - box.top - SCALE) / ((box.height - SCALE) / TRACKS.length));
  return {
    share: (clientX - box.left - left) / (box.width - left),
    width: box.width - left,
    track: TRACKS[track],
  };
}

function change(act) {
  if (!watched) return;
  act(watched.view);
  watched.summarized = 0;
  draw();
}

/** The pressed fingers or mouse button, by pointer, with their positions. */
const pointers = new Map();

canvas.addEventListener('pointerdown', (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event.clientX);
});
for (const gone of ['pointerup', 'pointercancel']) {
  canvas.addEventListener(gone, ({ pointerId }) => pointers.delete(pointerId));
}
canvas.addEventListener('pointermove', (event) => {
  const before = pointers.get(event.pointerId);
  if (before === undefined) {
    point(event);
    return;
  }
  const { width, share } = place(event);
  const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
  pointers.set(event.pointerId, event.clientX);
  if (other === undefined) {
    change((view) => view.pan((before - event.clientX) / width));
  } else {
    const [was, is] = [Math.abs(before - other), Math.abs(event.clientX - other)];
    if (was > 8 && is > 8) change((view) => view.zoom(is / was, share));
  }
});
canvas.addEventListener(
  'wheel',
  (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) change((view) => view.pan(event.deltaX / 800));
    else change((view) => view.zoom(Math.exp(-event.deltaY / 300), view.live ? 1 : place(event).share));
  },
  { passive: false },
);
canvas.addEventListener('keydown', (event) => {
  const acts = {
    '+': (view) => view.zoom(1.5),
    '=': (view) => view.zoom(1.5),
    '-': (view) => view.zoom(1 / 1.5),
    ArrowLeft: (view) => view.pan(-0.2),
    ArrowRight: (view) => view.pan(0.2),
    Home: (view) => view.follow(),
  };
  const act = acts[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  change(act);
});
at('zoom-in').addEventListener('click', () => change((view) => view.zoom(1.5)));
at('zoom-out').addEventListener('click', () => change((view) => view.zoom(1 / 1.5)));
at('live').addEventListener('click', () => {
  if (!watched?.ended) change((view) => (view.live ? view.stop() : view.follow()));
});
at('unwatch').addEventListener('click', unwatch);

/** Describes the span under the pointer. */
function point(event) {
  if (!watched) return;
  const { share, track, width } = place(event);
  const { view, tracks } = watched;
  const span = track && tracks.find(track.key, view.from + share * view.span, (2 * view.span) / width);
  if (!span) return;
  const size = span.bytes ? `, ${bytes(span.bytes)}` : '';
  say(at('timeline-said'), `${track.title}: ${span.text}, ${duration(span.end - span.start)}${size}`);
}
