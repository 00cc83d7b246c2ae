import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ServiceDefinition } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { invariant } from '../../proto/errors.js';
import { packageFile } from '../machine/package-files.js';
import { protobuf, protoLoader } from './grpc.js';

/** A message that was read has long numbers as numbers, enums as their names, and a value for each field. */
const READ = { longs: Number, enums: String, defaults: true, oneofs: true };

type Root = ReturnType<ReturnType<typeof protobuf>['Root']['fromJSON']>;
type Method = ReturnType<Root['lookupService']>['methodsArray'][number];
type Message = ReturnType<Root['lookupType']>;

/** The definitions of services, as JSON. */
export type Definitions = object;

/**
 * The definitions in a .proto file of the package, by its path in dist/. The build has parsed it: a process that makes one
 * call would otherwise spend half of its time in gRPC on this.
 */
export function readDefinitions(path: string): Definitions {
  return JSON.parse(readFileSync(packageFile(`${path}.json`), 'utf8'));
}

/**
 * The same definitions with descriptors of all messages, for reflection, by the file's path in dist/.
 *
 * @param keepCase whether fields have their names as the file writes them.
 */
export function describeDefinitions(path: string, keepCase = false): PackageDefinition {
  return protoLoader().loadSync(fileURLToPath(packageFile(path)), { ...READ, keepCase });
}

/**
 * The services of definitions, by their full names, for clients and servers. proto-loader would also make descriptors of all
 * messages, which only reflection needs.
 */
export function servicesOf(definitions: Definitions): (name: string) => ServiceDefinition {
  const root = protobuf().Root.fromJSON(definitions);
  root.resolveAll();
  return (name) => {
    const { methodsArray } = root.lookupService(name);
    return Object.fromEntries(methodsArray.map((method) => [method.name, definitionOf(name, method)]));
  };
}

function definitionOf(service: string, method: Method): ServiceDefinition[string] {
  const { name, requestStream = false, responseStream = false } = method;
  const { resolvedRequestType: request, resolvedResponseType: response } = method;
  invariant(request && response, `${service} defines the messages of ${name}`);
  return {
    path: `/${service}/${name}`,
    originalName: `${name.charAt(0).toLowerCase()}${name.slice(1)}`,
    requestStream,
    responseStream,
    requestSerialize: writerOf(request),
    requestDeserialize: readerOf(request),
    responseSerialize: writerOf(response),
    responseDeserialize: readerOf(response),
  };
}

function writerOf(message: Message) {
  return (value: object) => Buffer.from(message.encode(message.fromObject(value)).finish());
}

function readerOf(message: Message) {
  return (bytes: Uint8Array) => message.toObject(message.decode(bytes), READ);
}
