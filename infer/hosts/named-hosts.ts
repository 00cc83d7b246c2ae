import { isPoolAddress } from '../../link/address/pool-address.js';
import { redact } from '../../proto/token.js';
import { type GpuHost, gpuHost } from './engine-hosts.js';
import { type FollowedEngine, PoolHosts } from './pool-hosts.js';

export interface NamedHostsOptions {
  /** How many models run at a time on each host. */
  readonly lanes: number;
  /** The most of each host's GPU memory to use, in bytes; all if left out. */
  readonly memory?: number | undefined;
  /** Called when a host of a pool comes, fails to come, or is given back. */
  log(message: string): void;
}

/** The GPU hosts that the server's owner names by their own addresses, or by addresses of pools. Hosts of pools come and go with the work. */
export class NamedHosts {
  readonly #options: NamedHostsOptions;
  readonly #pools: PoolHosts[] = [];
  /** Hosts that are named by their own addresses, and the addresses of pools. */
  readonly named: { readonly hosts: GpuHost[]; readonly pools: string[] } = { hosts: [], pools: [] };
  #isFollowed = false;
  #isClosed = false;

  constructor(options: NamedHostsOptions) {
    this.#options = options;
  }

  /** Opens the hosts that an engine begins with: of a pool, the first one. @throws FarlightError (rejects). Call `close` even then. */
  async open(addresses: readonly string[]): Promise<GpuHost[]> {
    const { lanes, memory, log } = this.#options;
    const hosts: GpuHost[] = [];
    for (const address of addresses) {
      if (this.#isClosed) break;
      if (isPoolAddress(address)) {
        const open = async (host: string, name: string) => {
          const opened = await gpuHost({ host, name, lanes, memory });
          // Later hosts of the pool join the engine by themselves.
          if (!this.#isFollowed) hosts.push(opened);
          return opened;
        };
        const pool = new PoolHosts({ address, open, log });
        this.#pools.push(pool);
        this.named.pools.push(address);
        await pool.first();
      } else {
        const host = await gpuHost({ host: address, name: redact(address), lanes, memory });
        hosts.push(host);
        this.named.hosts.push(host);
      }
    }
    return hosts;
  }

  /** From now on hosts of pools follow the work of this engine, which has the first ones. */
  follow(engine: FollowedEngine): void {
    this.#isFollowed = true;
    for (const pool of this.#pools) pool.follow(engine);
  }

  /** Gives the hosts of pools back. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#pools.map((pool) => pool.close()));
  }
}
