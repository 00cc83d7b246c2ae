import { spawn, spawnSync } from 'node:child_process';
import { outputOf, type Running } from '../hosts/farlight-command.js';
import { CLI } from '../repository.js';
import { mayServe, OTHER } from './other-user.js';

/** A systemd unit: its directives in order. Throws where a line is none, nor a comment or a section's head. */
export function directivesOf(unit: string): [name: string, value: string][] {
  return unit
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#') && !/^\[\w+\]$/.test(line))
    .map((line) => {
      const [, name, value] = /^([A-Z]\w+)=(.+)$/.exec(line) ?? [];
      if (name === undefined || value === undefined) throw new Error(`not a line of a unit: ${line}`);
      return [name, value];
    });
}

/** Where systemd puts the folders that a unit asks for. */
const BASES = { StateDirectory: '/var/lib', CacheDirectory: '/var/cache', RuntimeDirectory: '/run' } as const;

/** The folders that a unit is given for itself, and their modes. */
export function foldersOf(unit: string): { path: string; mode: string }[] {
  const directives = new Map(directivesOf(unit));
  return Object.entries(BASES).flatMap(([name, base]) => {
    const folder = directives.get(name);
    return folder ? [{ path: `${base}/${folder}`, mode: directives.get(`${name}Mode`) ?? '0755' }] : [];
  });
}

/** What its processes have in their environment. */
export function environmentOf(unit: string): Record<string, string> {
  const given = directivesOf(unit).filter(([name]) => name === 'Environment');
  return Object.fromEntries(given.map(([, text]) => text.split(/=(.*)/s) as [string, string]));
}

/** Whether this machine can have a process live as under `ProtectSystem=strict`: in mounts of its own. */
export const maySandbox: boolean = mayServe && spawnSync('unshare', ['--mount', 'true']).status === 0;

/**
 * `farlight ARGS` as the unit's user has it: all that is there can only be read, but for the unit's own folders. Stricter
 * than systemd, /tmp is no exception.
 */
export function startInSandbox(unit: string, args: readonly string[]): Running {
  const made = foldersOf(unit).map(
    ({ path, mode }) =>
      `mkdir -m ${mode} ${path} && chown ${OTHER}:${OTHER} ${path} && mount --bind ${path} ${path}`,
  );
  const kept = ['/dev', '/proc', '/sys', ...foldersOf(unit).map(({ path }) => path)].join('|');
  const script = [
    'set -e',
    ...Object.values(BASES).map((base) => `mount -t tmpfs none ${base}`),
    ...made,
    // A mount below one of these folders, as `ip netns` makes, is hidden by now.
    `cut -d' ' -f5 /proc/self/mountinfo | grep -vE '^(${kept})(/|$)' | while read -r at; do if [ -e "$at" ]; then mount -o remount,bind,ro "$at"; fi; done`,
    'exec "$@"',
  ].join('\n');
  const env = Object.entries({ HOME: '/nonexistent', PATH: '/usr/bin:/bin', ...environmentOf(unit) });
  const asUser = [
    'setpriv',
    `--reuid=${OTHER}`,
    `--regid=${OTHER}`,
    '--clear-groups',
    '--no-new-privs',
    '--',
  ];
  const command = [
    ...asUser,
    'env',
    '-i',
    ...env.map((pair) => pair.join('=')),
    process.execPath,
    CLI,
    ...args,
  ];
  return outputOf(
    spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...command], {
      cwd: '/',
    }),
  );
}
