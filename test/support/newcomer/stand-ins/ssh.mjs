#!/usr/bin/env node
// The forwarding of `ssh`: it listens at the port of each -L, and carries connections to the named machine, which is this
// one. FARLIGHT_STAND_IN_MACHINE describes that machine as JSON: {"name", "ports": {"7071": PORT HERE}}. The options are
// OpenSSH's. If this machine has a real ssh, that also checks the options.
import { spawnSync } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { fail, realTool } from './stand-in.mjs';

/** The options of ssh(1) with a value, and those without. */
const VALUED = 'BbcDEeFIiJLlmOopQRSWw';
const PLAIN = '46AaCfGgKkMNnqsTtVvXxYy';

const forwards = [];
const words = [];
const args = process.argv.slice(2);
while (args.length > 0) {
  const arg = args.shift();
  if (!arg.startsWith('-') || arg === '-') words.push(arg);
  else
    for (let at = 1; at < arg.length; at++) {
      if (PLAIN.includes(arg[at])) continue;
      if (!VALUED.includes(arg[at])) fail(255, `unknown option -- ${arg[at]}`);
      const value = arg.slice(at + 1) || args.shift();
      if (value === undefined) fail(255, `option requires an argument -- ${arg[at]}`);
      if (arg[at] === 'L') forwards.push(forward(value));
      else fail(255, `this stand-in forwards with -L alone, and does nothing of -${arg[at]}`);
      break;
    }
}

/** `[BIND:]PORT:HOST:HOSTPORT`. */
function forward(text) {
  const parts = text.split(':');
  const [hostPort, host, port, bind = '127.0.0.1'] = [...parts].reverse();
  const numbers = [hostPort, port].map(Number);
  if (parts.length > 4 || !host || numbers.some((each) => !(each > 0 && each < 65536)))
    fail(255, `Bad local forwarding specification '${text}'`);
  return { bind, port: numbers[1], host, hostPort: numbers[0] };
}

const [name] = words;
if (words.length !== 1) fail(255, 'usage: ssh [-L [BIND:]PORT:HOST:HOSTPORT] HOST');
const real = realTool('ssh');
if (real) {
  const { status, stdout, stderr } = spawnSync(real, ['-G', ...process.argv.slice(2)], { encoding: 'utf8' });
  if (status !== 0) fail(255, stderr.trim());
  for (const { port, host, hostPort } of forwards) {
    const line = `localforward ${port} [${host}]:${hostPort}`;
    if (!stdout.includes(`${line}\n`)) fail(255, `the ssh of this machine does not read '${line}'`);
  }
}

const machine = JSON.parse(process.env.FARLIGHT_STAND_IN_MACHINE ?? '{}');
if (name !== machine.name) fail(255, `Could not resolve hostname ${name}: Name or service not known`);
for (const { bind, port, host, hostPort } of forwards) {
  const there = /^(127\.|localhost$)/.test(host) ? machine.ports[hostPort] : undefined;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    if (there === undefined) {
      process.stderr.write('channel 3: open failed: connect failed: Connection refused\n');
      socket.destroy();
      return;
    }
    const channel = connect(there, '127.0.0.1').on('error', () => socket.destroy());
    socket.on('close', () => channel.destroy()).pipe(channel);
    channel.on('close', () => socket.destroy()).pipe(socket);
  });
  server.on('error', (error) => fail(255, `bind [${bind}]:${port}: ${error.code}`));
  server.listen(port, bind);
}
