// The panel below the bookings: a host's log, which is read again while it is open, or its address.
import { at, say } from './dom.js';
import { ask } from './portal-link.js';

const AGAIN_MS = 2000;

let timer;
/** The element that had the focus before the panel. */
let before;

/** Shows a log, and what is added to it. */
export function showLog(name, path) {
  open(`Log of ${name}`, 'The end of what the host has printed. It is read again every two seconds.');
  const read = async () => {
    try {
      const text = await ask('GET', path);
      const box = at('panel-text');
      const isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
      say(box, text || '(nothing yet)');
      if (isAtEnd) box.scrollTop = box.scrollHeight;
    } catch (error) {
      say(at('panel-said'), error.message);
    }
    if (timer !== undefined) timer = setTimeout(read, AGAIN_MS);
  };
  timer = 0;
  void read();
}

/** Shows the address of the host of this tenant's booking. */
export async function showAddress(program, id) {
  open(
    `Address of the host of ${program}`,
    'It has a secret in it: whoever has it can use the host, until it is released. It is for FARLIGHT_HOST, and for farlight run --host.',
  );
  try {
    const { addresses } = await ask('POST', `/v1/bookings/${id}/renew`, {});
    say(at('panel-text'), addresses.join('\n') || 'It has no host yet.');
  } catch (error) {
    say(at('panel-said'), error.message);
  }
}

function open(title, said) {
  clearTimeout(timer);
  timer = undefined;
  if (at('panel').hidden) before = document.activeElement;
  at('panel').hidden = false;
  say(at('panel-heading'), title);
  say(at('panel-said'), said);
  say(at('panel-text'), '');
  at('panel-heading').focus();
}

// It scrolls, also with the keyboard.
at('panel-text').tabIndex = 0;

at('panel-close').addEventListener('click', () => {
  clearTimeout(timer);
  timer = undefined;
  at('panel').hidden = true;
  // The text may be a secret.
  say(at('panel-text'), '');
  if (before?.isConnected) before.focus();
  else at('bookings-heading').focus();
});
