import type { Phase } from '../allocation/allocation.js';
import type { BookingPhase, Place } from './booking.js';
import type { Cost } from './state-file.js';

/** The portal's state, as its page and programs get it. Times are milliseconds since 1970. */
export interface PortalView {
  readonly version: string;
  readonly now: number;
  readonly startedAt: number;
  /** The reader. An owner sees the bookings, hosts and costs of all tenants, and others see their own. */
  readonly you: { readonly tenant: string; readonly isOwner: boolean };
  readonly pools: readonly PoolInfo[];
  /** The last bookings that ended, the newest first. */
  readonly ends: readonly BookingView[];
}

export interface PoolInfo {
  readonly name: string;
  readonly engine: string;
  readonly max: number;
  /** Seconds. */
  readonly idle: number;
  readonly wait: number;
  readonly lease: number;
  /** GPUs of a host. */
  readonly gpus: number;
  /** The folder that both sides see, where the pool has one. */
  readonly files?: string | undefined;
  /** Why the engine does not answer, if it does not. */
  readonly silence?: string | undefined;
  readonly hosts: readonly HostInfo[];
  /** How many bookings of all tenants wait. */
  readonly waiting: number;
  /** The first 500 bookings that wait or are ready, in the order in which they came. */
  readonly bookings: readonly BookingView[];
  readonly costs: readonly TenantCost[];
}

export interface HostInfo {
  readonly slot: number;
  readonly term: number;
  readonly phase: Phase;
  readonly why: string;
  readonly job?: string | undefined;
  readonly node?: string | undefined;
  /** Sessions that are open on it. */
  readonly sessions?: number | undefined;
  /** Absent where it is another tenant's, or the portal has not started it. */
  readonly tenant?: string | undefined;
  /** Whether a program that asks no portal has it. */
  readonly isOutside: boolean;
}

export interface BookingView {
  readonly id: string;
  readonly pool: string;
  readonly tenant: string;
  readonly program: string;
  readonly phase: BookingPhase;
  readonly why: string;
  /** Grows with each change: a program names the one that it has seen. */
  readonly version: number;
  readonly asked: number;
  readonly ready?: number | undefined;
  readonly ended?: number | undefined;
  /** How many hosts it asks for. */
  readonly hosts: number;
  /** The hosts that it has, or had: all of them, or none. */
  readonly places: readonly Place[];
  /** How many bookings of its tenant are served before it; those of other tenants take turns with them. */
  readonly ahead?: number | undefined;
  /** Until when a person has the hosts. */
  readonly until?: number | undefined;
}

export interface TenantCost extends Cost {
  readonly tenant: string;
}

/** A program's own booking, as the portal answers it. */
export interface BookingAnswer extends BookingView {
  /** The addresses of its hosts with their tokens, once it has them: secrets of the tenant's. */
  readonly addresses: readonly string[];
  /** Seconds without use after which a program gives its hosts back. */
  readonly idle: number;
  /** Seconds after which the booking of a program ends that renews nothing. */
  readonly lease: number;
}
