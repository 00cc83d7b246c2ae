// Follows a server's events, and says on the page whether it answers. The stream reconnects by itself when the server is back.
import { at, say } from './dom.js';

/** How long after a final failure to open another stream, in milliseconds. */
const AGAIN_MS = 1000;
/** A stream that is silent for so long is lost: the server sends an event every ten seconds. */
const SILENT_MS = 25_000;

let silence;

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

/** Says whether the server answers. */
export function showStatus(title, live) {
  const box = at('status');
  box.classList.toggle('live', live);
  say(box, live ? 'live' : 'no answer, retrying');
  document.title = live ? title : `${title} (no answer)`;
}
