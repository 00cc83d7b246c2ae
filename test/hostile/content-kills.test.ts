import { existsSync, readdirSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { close, create, globals, stats } from '#farlight/client/index.js';
import { tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import { DEFAULT_TENANT } from '#farlight/server/trust/token-store.js';
import {
  type Content,
  content,
  falseFiles,
  fileOf,
  temporaryFolders,
} from '../support/hosts/content-files.js';
import { DaemonProcess } from '../support/hosts/daemon-process.js';
import { until } from '../support/machine/processes.js';
import { seeded } from '../support/random/seeded.js';

/** How often the host is killed; FARLIGHT_BLOB_KILLS sets more. */
const kills = Number(process.env.FARLIGHT_BLOB_KILLS ?? 3);
const { GPUBufferUsage, GPUMapMode } = globals;
const { COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;

const folders = temporaryFolders();
afterAll(() => folders.remove());

/** The contents of a round, of many lengths, so that each is worth keeping. */
const contentOf = (round: number, number: number): Content =>
  content(round * 100 + number, 50_000 + 4096 * (number % 40));

async function open(url: string) {
  const gpu = create({ host: url });
  const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
  const upload = ({ bytes }: Content) => {
    const buffer = device.createBuffer({ size: bytes.length, usage: COPY_SRC | COPY_DST });
    device.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  };
  return { gpu, device, upload };
}

/** Uploads contents, pauses so that the host writes them, and repeats that until the host is killed. */
async function uploadOn(url: string, round: number): Promise<() => void> {
  const { gpu, device, upload } = await open(url);
  let goesOn = true;
  void (async () => {
    for (let number = 0; goesOn && number < 100; number += 1) {
      upload(contentOf(round, number));
      if (number % 10 === 0) await device.queue.onSubmittedWorkDone().catch(() => {});
    }
  })();
  return () => {
    goesOn = false;
    close(gpu);
  };
}

/** Uploads contents and reads each back. Returns how many of them the host had. */
async function check(url: string, contents: readonly Content[]): Promise<number> {
  const { gpu, device, upload } = await open(url);
  const buffers = contents.map(upload);
  for (const [index, buffer] of buffers.entries()) {
    const read = device.createBuffer({ size: buffer.size, usage: MAP_READ | COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, read, 0, buffer.size);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const { bytes } = contents[index] as Content;
    if (!Buffer.from(read.getMappedRange()).equals(bytes)) expect.fail(`content ${index} came back wrong`);
    read.destroy();
    buffer.destroy();
  }
  const { contentsNamed } = stats(gpu);
  close(gpu);
  return contentsNamed;
}

it(
  `a host that is killed ${kills} times while it writes contents gives out no wrong content, and keeps some`,
  async () => {
    const root = folders.make();
    const folder = tenantFolder(DEFAULT_TENANT, root);
    const files = () => (existsSync(folder) ? readdirSync(folder) : []);
    const options = { adapter: 'software', contents: { root }, spares: 1 };
    const random = seeded(5);
    let had = 0;
    let halfWritten = 0;
    let [daemon, url] = await DaemonProcess.start(options);
    for (let round = 0; round < kills; round += 1) {
      const clients = await Promise.all([uploadOn(url, round), uploadOn(url, round + 500)]);
      const before = files().length;
      await until(() => files().length > before);
      await new Promise((resolve) => setTimeout(resolve, random() * 100));
      await daemon.kill();
      for (const end of clients) end();
      halfWritten += files().filter((file) => file.startsWith('new-')).length;
      [daemon, url] = await DaemonProcess.start(options);
      // Contents of this round and of an earlier one: some may be there, and some cannot.
      const earlier = Math.floor(random() * (round + 1));
      const contents = [round, round + 500, earlier].flatMap((each) =>
        Array.from({ length: 20 }, (_, number) => contentOf(each, number)),
      );
      const different = [...new Map(contents.map((each) => [each.name.join(), each])).values()];
      had += await check(url, different);
      const fresh = content(1_000_000 + round, 70_000 + 8 * round);
      await check(url, [fresh]);
      await until(() => existsSync(fileOf(folder, fresh)));
    }
    // A killed process leaves a whole content or none.
    expect(falseFiles(folder)).toEqual([]);
    console.log(`${kills} kills: ${had} contents had from before, ${halfWritten} files were half written`);
    expect(had).toBeGreaterThan(0);
    await daemon.close();
  },
  120_000 + kills * 30_000,
);
