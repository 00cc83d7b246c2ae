import type { ChannelOptions, MethodDefinition, ServiceError } from '@grpc/grpc-js';
import { clientCertificate } from '../../../link/dial/client-certificate.js';
import { GrpcConnection } from '../../../link/dial/grpc-connection.js';
import { explainStatus } from '../../../link/dial/grpc-errors.js';
import { type HostAddress, parseHostAddress } from '../../../link/dial/host-address.js';
import { silent } from '../../../link/dial/socket-errors.js';
import { grpc } from '../../../link/grpc/grpc.js';
import {
  ECHO_MESSAGE_LIMIT,
  hostService,
  type RenewReply,
  type RenewRequest,
} from '../../../link/grpc/host-service.js';
import { wallClock } from '../../../link/machine/clock.js';
import { native } from '../../../link/machine/globals.js';
import type { FarlightError } from '../../../proto/errors.js';
import type { HostDescription } from '../../../proto/session/handshake.js';
import { CONNECT_TIMEOUT_MS } from '../host-link.js';

/** How long an echo may take, in milliseconds: megabytes over a slow line. */
const ECHO_TIMEOUT_MS = 30_000;

const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': ECHO_MESSAGE_LIMIT,
  'grpc.max_send_message_length': ECHO_MESSAGE_LIMIT,
  // An echo measures bandwidth. It must not wait for the window to open again.
  'grpc-node.flow_control_window': 2 * ECHO_MESSAGE_LIMIT,
};

/** Asks a host about itself, outside of any session. */
export class HostClient {
  readonly #address: HostAddress;
  readonly #connection: GrpcConnection;

  /**
   * @throws FarlightError BAD_URL where the address is not one, BAD_OPTION where the environment names a client
   *   certificate that cannot be used.
   */
  constructor(url: string) {
    this.#address = parseHostAddress(url, { tls: true });
    this.#connection = new GrpcConnection(this.#address, {
      timeoutMs: CONNECT_TIMEOUT_MS,
      certificate: this.#address.scheme === 'grpcs' ? clientCertificate(process.env) : undefined,
      channel: CHANNEL_OPTIONS,
    });
  }

  get url(): string {
    return this.#address.url;
  }

  /** @throws FarlightError UNREACHABLE, UNTRUSTED_HOST, UNAUTHORIZED (rejects). */
  async describe(): Promise<HostDescription> {
    const description = await this.#ask(hostService().Describe, {}, CONNECT_TIMEOUT_MS);
    return { ...description, adapter: description.adapter ?? undefined };
  }

  /**
   * Sends `payload` and has `replyBytes` bytes sent back.
   *
   * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST, UNAUTHORIZED (rejects).
   */
  async echo(payload: Uint8Array, replyBytes: number): Promise<void> {
    await this.#ask(hostService().Echo, { payload, replyBytes }, ECHO_TIMEOUT_MS);
  }

  /**
   * Renews the host's lease with the challenge of an earlier reply, or asks for one (0).
   *
   * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST, UNAUTHORIZED (rejects).
   */
  renew(request: RenewRequest): Promise<RenewReply> {
    return this.#ask(hostService().Renew, request, CONNECT_TIMEOUT_MS);
  }

  /** Calls this once, when the connection that there is now is lost or closed. */
  onLost(listener: () => void): void {
    const channel = this.#connection.client.getChannel();
    channel.watchConnectivityState(channel.getConnectivityState(false), Number.POSITIVE_INFINITY, () =>
      listener(),
    );
  }

  close(): void {
    this.#connection.close();
  }

  #ask<Request, Reply>(
    method: MethodDefinition<Request, Reply>,
    request: Request,
    timeoutMs: number,
  ): Promise<Reply> {
    return new native.Promise((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = method;
      const deadline = wallClock() + timeoutMs;
      const done = (error: ServiceError | null, reply?: Reply) =>
        error || !reply ? this.#explain(error, timeoutMs).then(reject, reject) : resolve(reply);
      const options = { deadline };
      const { client, metadata } = this.#connection;
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, done);
    });
  }

  async #explain(error: ServiceError | null, timeoutMs: number): Promise<FarlightError> {
    const { refusal } = this.#connection;
    if (refusal) return refusal;
    if (!error || error.code === grpc().status.DEADLINE_EXCEEDED) return silent(this.#address, timeoutMs);
    return explainStatus(this.#address, error);
  }
}
