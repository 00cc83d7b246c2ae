import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExecutorGroup } from '#farlight/server/daemon/executors/executor-group.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterEach(() => temporary.remove());

/** The files of Linux for a service that may divide its group; here they have no effect. */
describe('a control group for executors', () => {
  let root: string;
  let service: string;
  const files = () => ({ root, own: join(root, 'own'), controller: 'memory', limit: 'memory.max' });
  beforeEach(() => {
    root = temporary.make();
    service = join(root, 'system.slice', 'farlight.service');
    mkdirSync(service, { recursive: true });
    writeFileSync(join(root, 'own'), '1:name=systemd:/else\n0::/system.slice/farlight.service\n');
    writeFileSync(join(service, 'cgroup.controllers'), 'cpu memory pids\n');
    writeFileSync(join(service, 'cgroup.subtree_control'), '');
  });
  const text = (...path: string[]) => readFileSync(join(service, ...path), 'utf8');
  const groups = () => readdirSync(service).filter((name) => name.startsWith('farlight-'));

  it('has the limit and the executors, and the host moves to a group beside it', () => {
    const group = new ExecutorGroup(1000, files());
    group.add(4242);
    const [executors, host] = groups().sort() as [string, string];
    expect(executors).toMatch(/^farlight-executors-/);
    expect(text(executors, 'memory.max')).toBe('1000');
    expect(text(executors, 'cgroup.procs')).toBe('4242');
    expect(text(host, 'cgroup.procs')).toBe(String(process.pid));
    expect(text('cgroup.subtree_control')).toBe('+memory');
  });

  it('is made beside the group of the host where that is divided already', () => {
    writeFileSync(join(service, 'cgroup.subtree_control'), 'memory\n');
    writeFileSync(join(root, 'own'), `0::/system.slice/farlight.service/farlight-host-${process.pid}\n`);
    new ExecutorGroup(1000, files());
    expect(groups()).toEqual([expect.stringMatching(/^farlight-executors-/)]);
  });

  it('cannot be made, with a reason, where the system has no groups of version 2', () => {
    writeFileSync(join(root, 'own'), '8:memory:/else\n');
    expect(() => new ExecutorGroup(1000, files())).toThrow('the system has no control groups of version 2');
  });

  it('cannot be made, with a reason, where the group has no memory controller', () => {
    writeFileSync(join(service, 'cgroup.controllers'), 'cpu pids\n');
    expect(() => new ExecutorGroup(1000, files())).toThrow('its control group has no memory controller');
  });

  it('cannot be made, and moves no process, where the host may not divide its group', () => {
    // A file that cannot be written, as where the group has other processes.
    mkdirSync(join(root, 'none'));
    writeFileSync(join(root, 'own'), '0::/none\n');
    writeFileSync(join(root, 'none', 'cgroup.controllers'), 'memory');
    mkdirSync(join(root, 'none', 'cgroup.subtree_control'));
    expect(() => new ExecutorGroup(1000, files())).toThrow(/^it may not divide its control group \(/);
    expect(readFileSync(join(root, 'none', 'cgroup.procs'), 'utf8')).toBe(String(process.pid));
    expect(readdirSync(join(root, 'none')).some((name) => name.startsWith('farlight-executors'))).toBe(false);
  });
});
