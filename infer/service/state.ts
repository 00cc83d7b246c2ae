/** The current state of a service, for its owner. */
export interface ServiceState {
  /** Requests that wait or run. */
  readonly requests: number;
  /** About how many milliseconds of work wait. */
  readonly backlog: number;
  /** Each model and function that is served. */
  readonly queues: readonly QueueState[];
  readonly hosts: readonly HostState[];
  readonly lanes: readonly LaneState[];
}

/** The queue of a model, or of a function of a graph. */
export interface QueueState {
  /** The model, or the graph that has the function. */
  readonly model: string;
  readonly version: string;
  /** The function's title; undefined for a model. */
  readonly function?: string;
  /** Items that wait, and items of the runs that are under way. */
  readonly waiting: number;
  readonly running: number;
  /** How long the oldest of them has waited, in milliseconds; 0 where none waits. */
  readonly oldest: number;
}

/** A GPU host, this machine for functions, or the hosts of models that lie over several. */
export interface HostState {
  readonly name: string;
  readonly resource: 'gpu' | 'cpu' | 'network' | 'shards';
  /** Its GPU memory; undefined if it is no GPU host. */
  readonly memory?: HostMemoryState;
}

/** The GPU memory of a host, in bytes. */
export interface HostMemoryState {
  /** The most that the lanes can ever use there, and the part that others leave them now. */
  readonly limit: number;
  readonly available: number;
  /** By the host's last report: the lanes' buffers and textures, and their further reservations. */
  readonly used: number;
  readonly reserved: number;
  /** The part of the limit that sessions of others use. */
  readonly others: number;
  /** By the scheduler's plan: the weights of loaded models, the runs that are under way, and values between steps. */
  readonly weights: number;
  readonly runs: number;
  readonly values: number;
  /** Sessions of this server that wait for their turn to use the GPU. */
  readonly queue: number;
}

export interface LaneState {
  readonly name: string;
  readonly host: string;
  readonly resource: HostState['resource'];
  /** `closed`: it is being opened, for the first time or again. */
  readonly state: 'idle' | 'loading' | 'running' | 'closed';
  /** The model or function that is loaded or run. */
  readonly what?: string;
  /** The items of the run. */
  readonly items?: number;
  /** Since when it does so, in milliseconds; of a lane that is idle or closed 0. */
  readonly for: number;
  /** The models and functions that are loaded on it. */
  readonly loaded: readonly string[];
  /** Why it is closed. */
  readonly reason?: string;
}
