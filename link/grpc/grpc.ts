import { packageRequire } from '../machine/package-files.js';

type Grpc = typeof import('@grpc/grpc-js');

let loaded: Grpc | undefined;

/**
 * grpc-js, loaded on first use: that takes about 0.1 s, which a program on a private host, where
 * there is no gRPC, should not wait for. A plain import would load it with the module, and a dynamic
 * one would make opening a link asynchronous.
 */
export function grpc(): Grpc {
  loaded ??= packageRequire('@grpc/grpc-js') as Grpc;
  return loaded;
}
