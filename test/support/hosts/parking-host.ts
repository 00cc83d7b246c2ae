import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { GPUBufferUsage, GPUMapMode } from '#farlight/proto/gen/webgpu.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { until } from '../machine/processes.js';
import { folders } from '../trust/trust.js';
import { memoryLog } from './memory-log.js';

export type ParkingHostOptions = Partial<DaemonOptions> & { maxBytes?: number; keepMs?: number };

/** Hosts that park sessions when they are told to, closed after each test of the file. */
export function parkingHosts() {
  const temporary = folders();
  const opened: { close(): unknown }[] = [];
  const closeAll = async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  };
  afterEach(async () => {
    await closeAll();
    temporary.remove();
  });

  /** A program's device at a host. */
  async function open(url: string) {
    const gpu = create({ host: url });
    const end = () => close(gpu);
    opened.push({ close: end });
    const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
    const errors: string[] = [];
    device.onuncapturederror = ({ error }) => void errors.push(error.message);
    return { device, errors, end };
  }

  /** A host, and a device of a program there. */
  async function start(options: ParkingHostOptions = {}) {
    const { maxBytes, keepMs, ...others } = options;
    const { log, lines, of } = memoryLog();
    const root = join(temporary.make(), 'parked');
    const daemon = await Daemon.start({
      listen: '127.0.0.1:0',
      adapter: 'software',
      resumeMs: 2000,
      warm: 0,
      log,
      parking: { root, idleMs: 0, keepMs, maxBytes },
      ...others,
    });
    opened.push(daemon);
    const count = (message: string) => of(message).length;
    const token = daemon.tokens?.add({ tenant: 'one' }).token;
    const url = token ? daemon.url.replace('://', `://${token}@`) : daemon.url;
    return {
      daemon,
      lines,
      of,
      count,
      root,
      ...(await open(url)),
      /** The files of parked sessions, and those that are being written. */
      files: () =>
        (existsSync(root) ? readdirSync(root) : []).flatMap((folder) =>
          readdirSync(join(root, folder)).map((name) => join(root, folder, name)),
        ),
      /** Parks the session, and waits until it is. */
      async park() {
        const before = count('session parked');
        await until(() => {
          daemon.park();
          return count('session parked') > before;
        });
      },
    };
  }

  return { temporary, opened, open, start, closeAll };
}

/** Copies a buffer's bytes out. */
export async function readWords(device: GPUDevice, source: GPUBuffer): Promise<number[]> {
  const copy = device.createBuffer({
    size: source.size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, copy, 0, source.size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const words = [...new Uint32Array(copy.getMappedRange())];
  copy.destroy();
  return words;
}
