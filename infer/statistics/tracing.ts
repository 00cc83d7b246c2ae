export type Attributes = Readonly<Record<string, string | number>>;

/** A span that has ended, with the spans inside it. Times are milliseconds of the process's steady clock. */
export interface SpanTree {
  readonly name: string;
  /** By the conventions of OpenTelemetry: it serves a request, or consumes a record. Left out: neither. */
  readonly kind?: 'server' | 'consumer';
  readonly from: number;
  readonly to: number;
  readonly attributes: Attributes;
  /** Why it failed, where that is the server's fault. */
  readonly error?: string;
  readonly parts: readonly SpanTree[];
}

/** Makes traces. */
export interface Tracing {
  /**
   * Undefined where the trace is not recorded.
   *
   * @param cause the W3C `traceparent` of the span that this one belongs to, if there is one.
   */
  begin(cause: { readonly traceparent?: string | undefined }): Trace | undefined;
  /** Sends what is left, for a few seconds at most. */
  close(): Promise<void>;
}

/** The trace of one request, or of one record. */
export interface Trace {
  end(tree: SpanTree): void;
}
