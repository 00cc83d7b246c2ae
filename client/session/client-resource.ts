import { Resource } from '../../proto/webidl/resource.js';
import { UNMADE } from '../../proto/wire/handle.js';
import type { Session } from './session.js';

/** The resource behind every wrapper. It keeps the session and the device reachable, and its handle alive. */
export class ClientResource extends Resource {
  readonly kind: string;
  readonly session: Session;
  /** The device that the object belongs to; undefined for adapters and for a device itself. */
  readonly device: ClientResource | undefined;
  label: string;

  constructor(session: Session, kind: string, device: ClientResource | undefined, label: string) {
    super(UNMADE, session);
    this.session = session;
    this.kind = kind;
    this.device = device;
    this.label = label;
  }
}
