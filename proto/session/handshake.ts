import type { Compression, CompressionRequest } from './compression.js';

/** The client's first packet, which opens a session. */
export interface Hello {
  protocolMin: number;
  protocolMax: number;
  version: string;
  program: string;
  /** The token of the client's tenant. The transport adds it, on a verified TLS connection only. */
  token?: string | undefined;
  /** Absent if the client wants no compression. */
  compression?: CompressionRequest | undefined;
  /** Whether the client goes on where a near connection is lost, since its host has parked the session. */
  parks?: boolean | undefined;
  /** Whether the client goes on at another host where this one has moved the session. */
  moves?: boolean | undefined;
  /**
   * Random text, the same in each Hello of one program. A connection may break before Welcome arrives. Then the client
   * sends another Hello, and by this key the host replaces the session that it began for the earlier one.
   */
  key?: string | undefined;
}

/** The host's adapter, in words. */
export interface AdapterDescription {
  name: string;
  vendor: string;
  architecture: string;
  software: boolean;
  driver: string;
}

/** The client's first packet on a new connection, which resumes a session. */
export interface Resume {
  sessionId: string;
  /** How many of the host's frames the client has taken. */
  taken: number;
  /**
   * The number of this attempt to resume, from 1. A tunnel may deliver an older attempt late: by this number the host
   * knows that it must not replace a newer one.
   */
  attempt: number;
  /** As in Hello. */
  token?: string | undefined;
}

/** The host has moved the session to another host, where the client resumes it. */
export interface Moved {
  /** The other host's address, without a token. */
  address: string;
  /** The session's id there. It also stands in the place of a token, for this session alone. */
  sessionId: string;
}

/** When a silent peer counts as gone: after `deadMs`. Until then it gets a ping every `pingMs`. */
export interface Silence {
  pingMs: number;
  deadMs: number;
}

/** The host's reply to Hello, which accepts the session. */
export interface Welcome {
  protocol: number;
  version: string;
  /** The secret name of the session. With it the client can resume the session. */
  sessionId: string;
  /** How long a session outlives its connection, in milliseconds. */
  resumeMs: number;
  adapter: AdapterDescription;
  wgslLanguageFeatures: string[];
  /** Absent if the host keeps no contents. Then the client names none. */
  contents?: KeptContents | undefined;
  /** Absent if frames are not compressed. */
  compression?: Compression | undefined;
  /** Bytes of frames that the client may have under way. Default `LIMITS.windowBytes`. */
  windowBytes?: number | undefined;
  /** Whether the host can report spans of its work (FarlightActivity). Absent on hosts without that feature. */
  activity?: boolean | undefined;
  /** Whether the host tells of the session's GPU memory (FarlightMemory). Absent on hosts without that feature. */
  memory?: boolean | undefined;
  /** Whether the session may have lines to sessions of other hosts (FarlightLines). Absent where it may not. */
  lines?: boolean | undefined;
  /** Whether the host accepts a `SharedFileOffer`. */
  sharedFile?: boolean | undefined;
}

/**
 * The client offers a file for long frames to a host on its own machine. The offer also says that the program's own
 * thread has the connection. So the connection may be silent while the program computes.
 */
export interface SharedFileOffer {
  /** The file's name in /dev/shm; empty if no file could be made. */
  name: string;
}

/** The contents that a host keeps from earlier sessions. */
export interface KeptContents {
  /** An encoded ContentFilter. */
  filter: Uint8Array;
  /** Bytes of the largest content that the host keeps. */
  largestBytes: number;
}

/** The host's reply to `Describe`. `adapter` is absent if no GPU can be opened; then `adapterProblem` says why. */
export interface HostDescription {
  protocolMin: number;
  protocolMax: number;
  version: string;
  adapter: AdapterDescription | undefined;
  adapterProblem: string;
  sessions: number;
  /** Bytes of GPU memory for all sessions together; 0 where the host does not know. */
  gpuCapacity: number;
}

/** A side of the version negotiation: the protocols it speaks and the package it is. */
export interface VersionRange {
  protocolMin: number;
  protocolMax: number;
  version: string;
}

/** The sentence for two sides that share no protocol version. */
export function versionMismatch(client: VersionRange, host: VersionRange): string {
  const speaks = ({ protocolMin, protocolMax, version }: VersionRange) =>
    `protocol ${protocolMin === protocolMax ? protocolMin : `${protocolMin} to ${protocolMax}`} (farlight ${version})`;
  return (
    `the program speaks Farlight ${speaks(client)} but the host speaks ${speaks(host)}; ` +
    `install the same version of farlight on both`
  );
}
