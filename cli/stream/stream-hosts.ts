import type { NamedHosts } from '../../infer/hosts/named-hosts.js';
import type { Log } from '../../server/observatory/log.js';
import type { OpenHosts } from '../../stream/run/lane-runner.js';
import { loadWith } from '../infer/load-with.js';
import { namedHosts } from '../options/gpu-place.js';
import { hostHere, type RunHost } from '../run/run-host.js';

export interface HostFlags {
  host?: string[];
  adapter?: string;
  lanes: number;
}

/** GPU hosts: the named ones, or one of this machine. They are opened when a model needs them. */
export class StreamHosts {
  readonly #options: HostFlags;
  readonly #hosts: readonly string[];
  #own: RunHost | undefined;
  #named: NamedHosts | undefined;

  /** @throws FarlightError BAD_OPTION where both are named. */
  constructor(options: HostFlags) {
    this.#options = options;
    this.#hosts = namedHosts(options);
  }

  async open(log: Log): Promise<OpenHosts> {
    const { adapter, lanes } = this.#options;
    const { NamedHosts } = await loadLanes();
    let urls = this.#hosts;
    if (urls.length === 0) {
      this.#own ??= await hostHere(adapter ?? process.env.FARLIGHT_ADAPTER ?? 'auto');
      urls = [this.#own.url];
    }
    const named = new NamedHosts({ lanes, log: (what) => log.info({ what }, 'pool') });
    // An earlier attempt may have opened some of its hosts.
    await this.#named?.close();
    this.#named = named;
    const hosts = await named.open(urls);
    return {
      hosts,
      adapter: hosts.map((each) => each.adapter).join(', '),
      follow: (engine) => named.follow(engine),
    };
  }

  async close(): Promise<void> {
    await this.#named?.close();
    await this.#own?.close();
  }
}

async function loadLanes() {
  const load = async () => {
    import.meta.resolve('onnxruntime-web/webgpu');
    return import('../../infer/hosts/named-hosts.js');
  };
  return loadWith('onnxruntime-web onnx-buf @bufbuild/protobuf', load, 'stream');
}
