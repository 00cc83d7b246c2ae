import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import type { HostDescription } from '../../proto/session/handshake.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { LineBytes } from './byte-stream.js';
import { describeDefinitions, readDefinitions, servicesOf } from './services.js';
import type { SessionMessage } from './session-messages.js';

/** The most bytes that Echo takes, or sends back. */
export const ECHO_LIMIT: number = 8 << 20;
/** gRPC's limit for a session's message: a frame, with room for its wrapping. */
export const MESSAGE_LIMIT: number = LIMITS.frameBytes + 1024;
/** gRPC's limit for an echo: its bytes, with room for their wrapping. */
export const ECHO_MESSAGE_LIMIT: number = ECHO_LIMIT + 1024;

export interface EchoRequest {
  payload: Uint8Array;
  replyBytes: number;
}

export interface EchoReply {
  payload: Uint8Array;
}

export interface RenewRequest {
  challenge: number;
  holder: string;
  release: boolean;
}

export interface RenewReply {
  challenge: number;
  leaseMs: number;
  valid: boolean;
  sessions: number;
}

/** farlight.v1.Host with its messages' types. */
export interface HostService extends ServiceDefinition {
  Describe: MethodDefinition<Record<string, never>, HostDescription>;
  Echo: MethodDefinition<EchoRequest, EchoReply>;
  Renew: MethodDefinition<RenewRequest, RenewReply>;
}

/** farlight.v1.Sessions with its messages' types. */
export interface SessionsService extends ServiceDefinition {
  Open: MethodDefinition<SessionMessage, SessionMessage>;
}

/** farlight.v1.Lines with its messages' types. */
export interface LinesService extends ServiceDefinition {
  Open: MethodDefinition<LineBytes, LineBytes>;
}

/** farlight.v1.Moves with its messages' types. */
export interface MovesService extends ServiceDefinition {
  Open: MethodDefinition<LineBytes, LineBytes>;
}

const FILE = 'proto/farlight.proto';
let services: ReturnType<typeof servicesOf> | undefined;

/** Read on first use: a program on a private host needs no gRPC. */
function serviceOf(name: string): ServiceDefinition {
  services ??= servicesOf(readDefinitions(FILE));
  return services(`farlight.v1.${name}`);
}

/** The service as both sides use it. */
export function hostService(): HostService {
  return serviceOf('Host') as HostService;
}

/** The service that carries sessions. */
export function sessionsService(): SessionsService {
  return serviceOf('Sessions') as SessionsService;
}

/** The service that carries lines between sessions of two hosts. */
export function linesService(): LinesService {
  return serviceOf('Lines') as LinesService;
}

/** The service of a host that takes sessions from other hosts. */
export function movesService(): MovesService {
  return serviceOf('Moves') as MovesService;
}

/** All that farlight.proto defines, for reflection. */
export function hostDefinitions(): PackageDefinition {
  return describeDefinitions(FILE);
}
