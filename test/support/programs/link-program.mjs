// A program that opens a link to the host named first ("private" for one of its own) and then does
// each of the steps named after it, for tests of when a process ends.
import { remoteHost } from '#farlight/client/transport/open.js';
import { privateHost } from '#farlight/client/transport/private-host.js';
import { ACTION } from '../hosts/fake-executor.mjs';

const [host, ...steps] = process.argv.slice(2);
const entry = new URL('../hosts/fake-executor.mjs', import.meta.url);
const transport = host === 'private' ? privateHost({ entry }) : remoteHost(host);

let answered = () => {};
const hello = { protocolMin: 3, protocolMax: 3, version: '0.0.0-test', program: 'link-program.mjs' };
const link = transport.open(hello, {
  onWelcome: () => {},
  onFrame: (frame) => answered(Buffer.from(frame)),
  onDrain: () => {},
  onClose: () => console.log('closed'),
});

const ask = async (action) => {
  const answer = new Promise((resolve) => {
    answered = resolve;
  });
  link.ref();
  link.send(Uint8Array.from([action]));
  const frame = await answer;
  link.unref();
  return frame;
};

const STEPS = {
  echo: async () => {
    await ask(ACTION.echo);
    console.log('answered');
  },
  pid: async () => console.log((await ask(ACTION.pid)).toString()),
  stall: () => link.send(Uint8Array.from([ACTION.stall])),
  turn: () => new Promise((resolve) => setTimeout(resolve, 50)),
  exit: () => process.exit(0),
  die: () => process.kill(process.pid, 'SIGKILL'),
};
for (const step of steps) await STEPS[step]();
