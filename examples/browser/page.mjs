// Shared by the pages of this example.
import { close, install, stats } from 'farlight/browser';

const status = document.querySelector('#status');

export function say(text) {
  status.textContent = text;
}

/**
 * Gives the page the GPU of the host that `?host=` names, then loads and runs the program: libraries look for
 * a GPU when they load.
 */
export async function run(load) {
  // A test reads this: whether the browser had a GPU before, and the result.
  globalThis.example = { hadGpu: Boolean(await navigator.gpu?.requestAdapter()) };
  try {
    const gpu = await install(new URLSearchParams(location.search).get('host') ?? undefined);
    say('The host answered. Loading ...');
    const { main } = await load();
    Object.assign(globalThis.example, await main(), { gpu, close: () => close(gpu) });
    showFigures(stats(gpu));
    globalThis.example.done = true;
  } catch (error) {
    status.setAttribute('role', 'alert');
    say(error.message);
    globalThis.example.error = error.message;
    throw error;
  }
}

function showFigures({ apiCalls, answeredLocally, messagesSent, waits, bytesUp, bytesNotSent, bytesDown }) {
  const rows = Object.entries({
    'API calls': apiCalls,
    'answered in this page': answeredLocally,
    'messages sent': messagesSent,
    'waits for the host': waits,
    'bytes up': bytesUp,
    'not sent, host had them': bytesNotSent,
    'bytes down': bytesDown,
  });
  for (const [name, value] of rows) {
    const row = document.querySelector('#figures').insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = value.toLocaleString('en-US');
  }
}
