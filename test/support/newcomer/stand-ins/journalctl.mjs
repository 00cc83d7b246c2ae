#!/usr/bin/env node
// `journalctl -u farlight`, as for a host that systemd runs. It prints systemd's own lines about the unit, and the output
// of the host, which is in the file FARLIGHT_STAND_IN_JOURNAL.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { fail } from './stand-in.mjs';

const options = { unit: { type: 'string', short: 'u' }, output: { type: 'string', short: 'o' } };
let values;
try {
  ({ values } = parseArgs({ options, strict: true }));
} catch (error) {
  fail(1, `journalctl: ${error.message}`);
}
if (values.unit?.replace(/\.service$/, '') !== 'farlight') fail(0, '-- No entries --');

const entries = [
  { from: 'systemd[1]', message: 'Started farlight.service - Farlight GPU host.' },
  ...readFileSync(process.env.FARLIGHT_STAND_IN_JOURNAL, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((message) => ({ from: 'farlight[312]', message })),
];
const FORMATS = {
  cat: ({ message }) => message,
  short: ({ from, message }) => `Nov 22 09:00:00 gpu-box ${from}: ${message}`,
  json: ({ from, message }) => JSON.stringify({ SYSLOG_IDENTIFIER: from.split('[')[0], MESSAGE: message }),
};
const format = FORMATS[values.output ?? 'short'];
if (!format) fail(1, `Unknown output format '${values.output}'.`);
for (const entry of entries) process.stdout.write(`${format(entry)}\n`);
