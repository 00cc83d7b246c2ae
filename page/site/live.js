// Follows a server's events, and says on the page whether it answers, and which version of it. The stream reconnects by itself when the server is back.
import { at, say } from './dom.js';
import { EventReader } from './event-reader.js';
import { duration } from './format.js';

/** How long after a final failure to open another stream, in milliseconds. */
const AGAIN_MS = 1000;
/** A stream that is silent for so long is lost: the server sends an event every ten seconds. */
const SILENT_MS = 25_000;

let silence;
/** The last state that showServer got. */
let last;

/**
 * @param {string} event the name of the events.
 * @param {string} title of the page while the server answers.
 * @param {Function} show gets the data of each event.
 */
export function follow(event, title, show) {
  const source = new EventSource('/events');
  const again = () => {
    clearTimeout(silence);
    source.close();
    showStatus(title, false);
    setTimeout(() => follow(event, title, show), AGAIN_MS);
  };
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(again, SILENT_MS);
  };
  heard();
  source.addEventListener(event, ({ data }) => {
    heard();
    showStatus(title, true);
    show(JSON.parse(data));
  });
  source.addEventListener('error', () => {
    showStatus(title, false);
    // Otherwise the browser reconnects by itself.
    if (source.readyState === EventSource.CLOSED) again();
  });
}

/**
 * The same with a token, which an EventSource cannot send; undefined where the tab has none. Resolves with the server's
 * answer when it refuses the token.
 */
export async function followWithToken({ url, token, event, title }, show) {
  for (;;) {
    const lost = new AbortController();
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => lost.abort(), SILENT_MS);
    };
    heard();
    try {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(url, { headers, signal: lost.signal });
      if (response.status === 401) return response;
      if (!response.ok) throw new Error(`status ${response.status}`);
      const events = new EventReader((name, data) => {
        heard();
        if (name !== event) return;
        showStatus(title, true);
        show(JSON.parse(data));
      });
      const texts = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await texts.read(); !part.done; part = await texts.read()) events.push(part.value);
      // The server ends each stream after a while: then the next one follows at once.
    } catch {
      // The event, not the connection, may have been at fault.
      lost.abort();
      showStatus(title, false);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/**
 * Says which version of the server answers, and how long it has run. Loads the page again if the version has changed: its
 * files may have changed, too.
 *
 * @returns whether the server was started anew.
 */
export function showServer(state) {
  const { version, startedAt, now } = state;
  if (last && last.version !== version) location.reload();
  const isOther = last !== undefined && last.startedAt !== startedAt;
  last = state;
  say(at('version'), `farlight ${version}, up for ${duration(now - startedAt)}`);
  return isOther;
}

/** Says whether the server answers. */
function showStatus(title, live) {
  const box = at('status');
  box.classList.toggle('live', live);
  say(box, live ? 'live' : 'no answer, retrying');
  document.title = live ? title : `${title} (no answer)`;
}
