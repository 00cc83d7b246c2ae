import type { Socket } from 'node:net';
import type { ChannelOptions, Client, Metadata, ServiceError } from '@grpc/grpc-js';
import { grpc } from '../../../link/grpc/grpc.js';
import { GrpcStream, SESSION_KEY } from '../../../link/grpc/grpc-stream.js';
import { hostService, MESSAGE_LIMIT, sessionsService } from '../../../link/grpc/host-service.js';
import { setImmediate, wallClock } from '../../../link/machine/clock.js';
import { native } from '../../../link/machine/globals.js';
import { packageVersion } from '../../../link/machine/package-version.js';
import { FarlightError } from '../../../proto/errors.js';
import { type HostDescription, versionMismatch } from '../../../proto/handshake.js';
import { PROTOCOL } from '../../../proto/version.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import type { ClientCertificate } from './client-certificate.js';
import { explainStatus, hasHungUp } from './grpc-errors.js';
import type { HostAddress } from './host-address.js';
import { secureCredentials } from './secure-credentials.js';

/** A connection that nobody shares, to the address itself: gRPC tries nothing again and looks nothing up. */
export const OWN_CONNECTION: ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
};

const CHANNEL_OPTIONS: ChannelOptions = {
  // One for each attempt: gRPC would wait ever longer before it connects again.
  ...OWN_CONNECTION,
  'grpc.max_receive_message_length': MESSAGE_LIMIT,
  'grpc.max_send_message_length': MESSAGE_LIMIT,
  // What the channel lets be under way, the line is to carry in one round trip.
  'grpc-node.flow_control_window': LIMITS.windowBytes,
};

/** How long a host of another version may take to say so, in milliseconds. */
const DESCRIBE_MS = 5000;

/**
 * A connection of a session to a host across the network: one call of `farlight.v1.Sessions/Open` on a connection of
 * its own. It is there at once; where the host cannot be reached, or is not to be trusted, the stream fails with the
 * reason. The token leaves when the host's key was verified, and never in plaintext.
 */
export function openGrpcStream(
  address: HostAddress,
  options: { timeoutMs: number; certificate: ClientCertificate | undefined; session: string },
): GrpcStream {
  const { Client, status } = grpc();
  let refusal: FarlightError | undefined;
  const onRefused = (reason: FarlightError) => {
    refusal = reason;
  };
  let socket: Socket | undefined;
  let isOver = false;
  const onSocket = (made: Socket) => {
    socket = made;
    if (isOver) made.destroy();
  };
  const credentials = secureCredentials(address, { ...options, onRefused, onSocket });
  const client = new Client(address.target, credentials, CHANNEL_OPTIONS);
  const metadata = tokenMetadata(address);
  metadata.set(SESSION_KEY, options.session);
  const { path, requestSerialize, responseDeserialize } = sessionsService().Open;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  return new GrpcStream(call, {
    close() {
      call.cancel();
      client.close();
      isOver = true;
      // gRPC waits until a peer has taken what it was sent, for ever if it takes nothing. That the call is over leaves first.
      setImmediate(() => socket?.destroy());
    },
    explain: async (error) => {
      const failure = error as ServiceError;
      if (refusal) return refusal;
      // Why a peer hung up is asked when it does so again.
      if (hasHungUp(failure)) return failure;
      const older = failure.code === status.UNIMPLEMENTED ? await describeHost(client, metadata) : undefined;
      return older ? outdated(older) : explainStatus(address, failure);
    },
  });
}

/** What shows the host who calls; gRPC sends it on a connection that was verified. In plaintext nobody is told. */
export function tokenMetadata({ scheme, token }: HostAddress): Metadata {
  const metadata = new (grpc().Metadata)();
  if (scheme === 'grpcs' && token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

/** What a host says of itself that has no sessions over gRPC; undefined where it is no host. */
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
