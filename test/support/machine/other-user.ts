import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { outputOf, type Running } from '../hosts/farlight-command.js';
import { CLI } from '../repository.js';

/** A user of this machine that is neither root nor the one who runs the tests, nor the 65534 of those without a number. */
export const OTHER = 60_001;

/** Whether a test may start processes of another user; `OTHERS` says in a test's name what brings it. */
export const mayBeOther: boolean = process.platform === 'linux' && process.getuid?.() === 0;
export const OTHERS = 'needs two users: sudo npx vitest run test/users';

/** Whether that user can run `farlight`, which lies in a folder of the one who runs the tests. */
export const mayServe: boolean =
  mayBeOther && spawnSync(process.execPath, [CLI, '--version'], { uid: OTHER, gid: OTHER }).status === 0;

/** `farlight ARGS`, as that user types it. */
export function startAsOther(args: readonly string[]): Running {
  const env = { ...process.env, HOME: '/nonexistent', XDG_RUNTIME_DIR: '', TMPDIR: '/tmp' };
  return outputOf(spawn(process.execPath, [CLI, ...args], { uid: OTHER, gid: OTHER, cwd: '/', env }));
}

/**
 * A program of another user, as text: that user may not be able to read this folder. Its first line on stdout, and what
 * ends it. It gets `args` as `process.argv.slice(1)`.
 */
export function ofOtherUser(program: string, ...args: string[]) {
  const child = spawn(process.execPath, ['-e', program, '--', ...args], {
    uid: OTHER,
    gid: OTHER,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    /** The next line that it prints; undefined where it has ended. */
    line: async (): Promise<string | undefined> => (await lines.next()).value,
    /** Has it go on: it reads a line. */
    go: () => void child.stdin.write('\n'),
    async end(): Promise<void> {
      const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** Connects to a port, says some bytes (base64), and prints all that it hears (base64) up to a word, or until it is closed. */
export const SOCKET_PEER = `
  const [port, words, last] = process.argv.slice(1);
  let heard = Buffer.alloc(0);
  const socket = require('node:net').connect(Number(port), '127.0.0.1');
  socket.on('connect', () => socket.write(Buffer.from(words, 'base64')));
  socket.on('data', (bytes) => {
    heard = Buffer.concat([heard, bytes]);
    if (last && heard.includes(last)) socket.destroy();
  });
  socket.on('error', () => {});
  socket.on('close', () => console.log(heard.toString('base64')));
`;

/** Listens at a port of loopback, or at a unix socket, prints which, and then, asked by a line, how many bytes it heard. */
export const LISTENER = `
  let heard = 0;
  const server = require('node:net').createServer((socket) => {
    socket.on('error', () => {}).on('data', (bytes) => { heard += bytes.length; });
  });
  const [path] = process.argv.slice(1);
  server.listen(path ?? { port: 0, host: '127.0.0.1' }, () => console.log(path ?? server.address().port));
  process.stdin.on('data', () => console.log(heard));
`;
