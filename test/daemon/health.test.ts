import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { Daemon } from '#farlight/server/daemon.js';
import { requireDevice } from '#farlight/server/gpu/open-gpu.js';
import { checkHealth } from '../support/clients/health.js';
import { SessionClient } from '../support/clients/session-client.js';
import { memoryLog } from '../support/hosts/memory-log.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** An executor that has a GPU while a file exists. */
function unreliable(): { entry: URL; unplug(): void; plug(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-gpu-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const gpu = join(folder, 'gpu');
  const entry = join(folder, 'executor.mjs');
  const run = new URL('../../dist/server/executor/executor-process.js', import.meta.url);
  const errors = new URL('../../dist/proto/errors.js', import.meta.url);
  writeFileSync(
    entry,
    `import { existsSync } from 'node:fs';
     import { runExecutor } from '${run}';
     import { FarlightError } from '${errors}';
     const adapter = { name: 'fake', vendor: '', architecture: '', software: true, driver: '' };
     await runExecutor('auto', {
       async openGpu(choice) {
         if (!existsSync('${gpu}')) throw new FarlightError('NO_ADAPTER', 'the GPU is gone; plug it in');
         return { gpu: {}, adapter, wgslLanguageFeatures: [], choice };
       },
       createSession: (_gpu, peer) => ({ receive: (frame) => peer.send(frame), close() {} }),
     });`,
  );
  writeFileSync(gpu, '');
  return { entry: pathToFileURL(entry), unplug: () => rmSync(gpu), plug: () => writeFileSync(gpu, '') };
}

const untilHealth = async (url: string, status: number) => {
  while ((await checkHealth(url)) !== status) await new Promise((resolve) => setTimeout(resolve, 20));
};

describe('the health of a host', () => {
  for (const spares of [0, 1]) {
    it(`is NOT_SERVING while no executor can open the GPU, and SERVING again, with ${spares} spares`, async () => {
      const { entry, unplug, plug } = unreliable();
      const { log, lines } = memoryLog();
      const daemon = await Daemon.start({
        listen: '127.0.0.1:0',
        executorEntry: entry,
        spares,
        warm: 0,
        log,
      });
      cleanups.push(() => daemon.close());
      expect(await checkHealth(daemon.url)).toBe(1);
      unplug();
      // Use up the executors that have the GPU already, until one without it is needed.
      let code: string | undefined;
      while (code !== 'NO_ADAPTER') {
        const client = new SessionClient(remoteHost(daemon.url));
        code = await Promise.race([
          client.welcome.then(() => undefined),
          client.closed.then((end) => end?.code),
        ]);
        client.link.close();
      }
      await untilHealth(daemon.url, 2);
      plug();
      await untilHealth(daemon.url, 1);
      expect(lines.map(({ msg }) => msg).filter((msg) => msg.includes('GPU'))).toEqual([
        'no GPU',
        'GPU is back',
      ]);
    });
  }
});

describe('opening a GPU', () => {
  const gpuThat = (requestDevice: () => Promise<unknown>) =>
    ({ requestAdapter: async () => ({ requestDevice }) }) as unknown as GPU;

  it('fails with one sentence where the adapter gives no device', async () => {
    const broken = gpuThat(() => Promise.reject(new Error('VK_ERROR_DEVICE_LOST\n    at somewhere')));
    await expect(requireDevice(broken, 'GTX 1')).rejects.toMatchObject({
      code: 'NO_ADAPTER',
      message: expect.stringMatching(
        /^the GPU GTX 1 was found but gives no device: VK_ERROR_DEVICE_LOST; repair its driver/,
      ),
    });
  });

  it('leaves no device behind after opening a GPU', async () => {
    let destroyed = 0;
    const destroy = () => {
      destroyed += 1;
    };
    await requireDevice(
      gpuThat(async () => ({ destroy })),
      'GTX 1',
    );
    expect(destroyed).toBe(1);
  });
});
