import { packageRequire } from '../machine/package-files.js';

/** gRPC as the package brings it, in one file (`scripts/bundle.mjs`). */
interface Bundle {
  grpc: typeof import('@grpc/grpc-js');
  loader: typeof import('@grpc/proto-loader');
  /** Of protobufjs, what reads and writes messages. */
  protobuf: Pick<typeof import('protobufjs'), 'Root'>;
  reflection: typeof import('@grpc/reflection');
}

let loaded: Bundle | undefined;
let isQuiet = false;

/**
 * Loads gRPC on first use: that takes about 0.06 s, which a program on a private host, where there is no gRPC,
 * should not wait for. A plain import would load it with the module, and a dynamic one would make connecting
 * asynchronous.
 */
function bundle(): Bundle {
  if (!loaded) {
    loaded = packageRequire('grpc/grpc.cjs') as Bundle;
    if (isQuiet) silence(loaded);
  }
  return loaded;
}

export function grpc(): Bundle['grpc'] {
  return bundle().grpc;
}

/**
 * Keeps gRPC from logging, unless the user asks for its log: Farlight's errors say the same in plain words. It loads nothing:
 * a command may never use gRPC.
 */
export function quietGrpc(): void {
  if (process.env.GRPC_VERBOSITY) return;
  isQuiet = true;
  if (loaded) silence(loaded);
}

function silence({ grpc }: Bundle): void {
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
}

/** Reads and writes messages. */
export function protobuf(): Bundle['protobuf'] {
  return bundle().protobuf;
}

/** Reads the definitions of services from files, for reflection. It is loaded when it is first used, as reflection itself. */
export function protoLoader(): Bundle['loader'] {
  return bundle().loader;
}

/** Tells clients what services a server has. */
export function grpcReflection(): Bundle['reflection'] {
  return bundle().reflection;
}
