// Many programs ask a portal for hosts at once: how many hosts there are at most, whose turn it is, and why they wait. The
// programs are light ones: they book a host, have it for a moment, and release it, without a session. With --pool FILE
// the hosts are of that pool, for example of a Slurm; it is to have sessions: 1, and a long wait.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readPool } from '../dist/pool/definition/pool-file.js';
import { parsePortalAddress } from '../dist/pool/portal/client/portal-address.js';
import { PortalClient } from '../dist/pool/portal/client/portal-client.js';

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '500' },
    hosts: { type: 'string', default: '4' },
    pool: { type: 'string' },
    seconds: { type: 'string', default: '0.5' },
  },
});
const [programs, seconds] = [values.programs, values.seconds].map(Number);
/** Each tenant's part of the programs. */
const TENANTS = { many: 0.8, some: 0.12, few: 0.06, rare: 0.02 };

const cli = fileURLToPath(new URL('../dist/bundle/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'crowd-'));
const folders = { XDG_STATE_HOME: join(folder, 'state'), XDG_CONFIG_HOME: join(folder, 'config') };
Object.assign(process.env, folders);
const { env } = process;
const farlight = (...args) => execFileSync(process.execPath, [cli, ...args], { env, encoding: 'utf8' });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const file = values.pool ?? join(folder, 'crowd.yaml');
if (!values.pool)
  writeFileSync(file, `max: ${values.hosts}\nwait: 36000\nsessions: 1\ngpu: { adapter: "null" }\n`);
const { name: pool, engine, max: hosts } = readPool(`pool:${file}`);
const portal = spawn(process.execPath, [cli, 'pool', 'serve', file, '--listen', 'https://127.0.0.1:0'], {
  env,
  stdio: ['ignore', 'pipe', 'ignore'],
});

try {
  const address = await printedAddress(portal);
  const tokens = new Map(
    Object.keys(TENANTS).map((tenant) => [tenant, farlight('token', 'add', '--tenant', tenant).trim()]),
  );
  const began = performance.now();
  let isOver = false;
  let most = 0;
  const watched = (async () => {
    while (!isOver) {
      most = Math.max(most, (await engine.list('farlight.')).length);
      await pause(100);
    }
  })();
  const reasons = new Map();
  const wishes = Object.entries(TENANTS).flatMap(([tenant, part]) =>
    Array(Math.round(part * programs)).fill(tenant),
  );
  const waits = await Promise.all(
    wishes.map(async (tenant) => ({
      tenant,
      ms: await ask(address.replace('TOKEN', tokens.get(tenant)), reasons),
    })),
  );
  const took = (performance.now() - began) / 1000;
  isOver = true;
  await watched;
  const owner = new PortalClient(parsePortalAddress(address.replace('TOKEN', tokens.get('many'))));
  const { pools } = await owner.ask('GET', '/v1/portal');
  owner.close();
  console.log(
    `${waits.length} programs had a host each for ${seconds} s; all of it took ${took.toFixed(0)} s`,
  );
  console.log(
    `hosts at most: ${most} (allowed: ${hosts}); hosts started for "many": ${pools[0].costs[0]?.hosts}`,
  );
  for (const tenant of Object.keys(TENANTS)) {
    const own = waits.filter((each) => each.tenant === tenant).map(({ ms }) => ms / 1000);
    own.sort((one, other) => one - other);
    const [median, longest] = [own[own.length >> 1], own.at(-1)].map((each) => each.toFixed(1));
    console.log(`${tenant}: ${own.length} programs, waited ${median} s (median), ${longest} s (longest)`);
  }
  console.log('reasons that programs were told, and how often:');
  for (const [why, count] of [...reasons].sort((one, other) => other[1] - one[1]))
    console.log(`  ${count} ${why}`);
  if (most > hosts) process.exitCode = 1;
} finally {
  portal.kill('SIGKILL');
  console.log(farlight('pool', 'down', file).trim());
  console.log(`left in the engine: ${(await engine.list('farlight.')).length}`);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** One light program. Resolves to the milliseconds that its booking has waited. */
async function ask(address, reasons) {
  const client = new PortalClient(parsePortalAddress(address));
  let booking = await client.book(pool, { program: 'light' });
  while (booking.phase === 'waiting') {
    const why = booking.why.replace(/\d+ of them by/, 'N of them by').replace(/^\d+ of/, 'N of');
    reasons.set(why, (reasons.get(why) ?? 0) + 1);
    const body = { seen: booking.version, wait: booking.lease / 4 };
    booking = await client.ask('POST', `/v1/bookings/${booking.id}/renew`, body, 120_000);
  }
  if (booking.phase !== 'ready') throw new Error(booking.why);
  // Between the portal's own two moments: 500 connections from one machine take long themselves.
  const waited = booking.ready - booking.asked;
  await pause(seconds * 1000);
  await client.ask('DELETE', `/v1/bookings/${booking.id}`, undefined, 120_000);
  client.close();
  return waited;
}

function printedAddress({ stdout }) {
  return new Promise((resolve, reject) => {
    let text = '';
    stdout.setEncoding('utf8').on('data', (more) => {
      text += more;
      const [, found] = /FARLIGHT_HOST=(\S+)\n/.exec(text) ?? [];
      if (found) resolve(found);
    });
    stdout.once('end', () => reject(new Error('the portal did not start')));
  });
}
