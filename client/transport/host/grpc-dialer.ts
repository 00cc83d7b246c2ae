import type { ChannelOptions, Client, Metadata, ServiceError } from '@grpc/grpc-js';
import type { ClientCertificate } from '../../../link/dial/client-certificate.js';
import { GrpcConnection } from '../../../link/dial/grpc-connection.js';
import { explainStatus, hasHungUp } from '../../../link/dial/grpc-errors.js';
import type { HostAddress } from '../../../link/dial/host-address.js';
import { grpc } from '../../../link/grpc/grpc.js';
import { GrpcCarrier, SESSION_KEY } from '../../../link/grpc/grpc-carrier.js';
import { hostService, MESSAGE_LIMIT, sessionsService } from '../../../link/grpc/host-service.js';
import { wallClock } from '../../../link/machine/clock.js';
import { native } from '../../../link/machine/globals.js';
import { packageVersion } from '../../../link/machine/package-version.js';
import { FarlightError } from '../../../proto/errors.js';
import { type HostDescription, versionMismatch } from '../../../proto/session/handshake.js';
import { PROTOCOL } from '../../../proto/session/version.js';
import { LIMITS } from '../../../proto/wire/limits.js';

const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_LIMIT,
  'grpc.max_send_message_length': MESSAGE_LIMIT,
  // The channel's window must fit into HTTP/2's.
  'grpc-node.flow_control_window': LIMITS.windowBytes,
};

/** How long a host of another version may take to describe itself, in milliseconds. */
const DESCRIBE_MS = 5000;

/**
 * A session's connection to a host across the network: one call of `farlight.v1.Sessions/Open` on a connection of its own.
 * The carrier exists at once. If the host cannot be reached or trusted, it ends with the reason. The token is sent after
 * the host's key was verified, and never in plaintext.
 */
export function openGrpcCarrier(
  address: HostAddress,
  options: {
    timeoutMs: number;
    certificate: ClientCertificate | undefined;
    session: string;
    /** Whether the process may end while the connection is open. */
    isUnreferenced?: boolean;
  },
): GrpcCarrier {
  // A new one for each attempt: gRPC would wait longer and longer before it connects again.
  const connection = new GrpcConnection(address, { ...options, channel: CHANNEL_OPTIONS });
  const { client, metadata } = connection;
  metadata.set(SESSION_KEY, options.session);
  const { path, requestSerialize, responseDeserialize } = sessionsService().Open;
  const asIs = (bytes: Buffer) => bytes;
  const call = client.makeBidiStreamRequest(path, asIs, responseDeserialize, metadata);
  if (options.isUnreferenced) call.once('metadata', () => connection.unref());
  return new GrpcCarrier(call, {
    serialize: requestSerialize,
    close() {
      call.cancel();
      connection.close();
    },
    explain: async (error) => {
      const failure = error as ServiceError;
      if (connection.refusal) return connection.refusal;
      // Find the reason only if the peer hangs up again.
      if (hasHungUp(failure)) return failure;
      const isOlder = failure.code === grpc().status.UNIMPLEMENTED;
      const older = isOlder ? await describeHost(client, metadata) : undefined;
      return older ? outdated(older) : explainStatus(address, failure);
    },
  });
}

/** Describes a host that has no sessions over gRPC. Undefined if it is no host. */
function describeHost(client: Client, metadata: Metadata): Promise<HostDescription | undefined> {
  const { path, requestSerialize, responseDeserialize } = hostService().Describe;
  const options = { deadline: wallClock() + DESCRIBE_MS };
  return new native.Promise((resolve) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, metadata, options, (_, host) =>
      resolve(host),
    );
  });
}

function outdated(host: HostDescription): FarlightError {
  const own = { protocolMin: PROTOCOL.min, protocolMax: PROTOCOL.max, version: packageVersion() };
  return new FarlightError('VERSION_MISMATCH', versionMismatch(own, host));
}
