import { afterEach, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import type { HostView } from '#farlight/server/observatory/host-view.js';
import { runFarlight } from '../support/hosts/farlight-command.js';
import { ServeProcess } from '../support/hosts/serve-process.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(...args: string[]) {
  const host = await ServeProcess.start(...args);
  cleanups.push(() => {
    host.child.kill('SIGKILL');
    return host.ended;
  });
  const page = /dashboard: http:\/\/(\S+)/.exec(host.stdout)?.[1] ?? '';
  const session = (...words: string[]) => runFarlight(['session', ...words, '--dashboard', page]);
  const sessions = async () => {
    const state = (await (await fetch(`http://${page}/host.json`)).json()) as HostView;
    return state.sessions;
  };
  return { host, session, sessions };
}

/** A program with a device. `works` says that the host has done all of its work. */
async function program(url: string) {
  const gpu = create({ host: url });
  cleanups.push(() => close(gpu));
  const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
  return { works: () => device.queue.onSubmittedWorkDone() };
}

describe('farlight session, and a host that drains', () => {
  it('lists a session, parks it, and moves it to another host, where a host that ends hands the others', async () => {
    const there = await serve('--move-from', 'default');
    const here = await serve('--move-to', there.host.url, '--drain', '60');
    const first = await program(here.host.url);
    const [{ session: id } = { session: '' }] = await here.sessions();
    expect(JSON.parse((await here.session('ls', '--json')).stdout)).toMatchObject([{ session: id }]);
    expect(await here.session('park', id)).toMatchObject({ code: 0, stdout: `parked ${id}\n` });
    expect(await here.sessions()).toMatchObject([{ session: id, parked: { bytes: expect.any(Number) } }]);
    await first.works();
    const moved = await here.session('move', id, '--to', there.host.url, '--json');
    expect(moved).toMatchObject({ code: 0, stdout: `{"session":"${id}","moved":true}\n` });
    await first.works();
    expect(await here.sessions()).toEqual([]);
    const again = await here.session('move', id);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toMatch(/^farlight: the session \S+ was not moved: there is no such session; .*\n$/);
    const second = await program(here.host.url);
    here.host.child.kill('SIGTERM');
    await second.works();
    expect(await here.host.ended).toBe(0);
    expect(here.host.log.filter(({ msg }) => msg === 'session ended')).toMatchObject([
      { code: 'MOVED' },
      { code: 'MOVED' },
    ]);
    await Promise.all([first.works(), second.works()]);
    expect(await there.sessions()).toHaveLength(2);
  }, 60_000);

  it('says in a sentence why a session is not parked, and that no host answers', async () => {
    const { host, session, sessions } = await serve();
    await program(host.url);
    const [{ session: id } = { session: '' }] = await sessions();
    expect((await session('park', id)).stderr).toMatch(/start it with --park\n$/);
    const { code, stderr } = await runFarlight(['session', 'ls', '--dashboard', '127.0.0.1:1']);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^farlight: there is no dashboard of a Farlight host at .*\n$/),
    ]);
  });
});
