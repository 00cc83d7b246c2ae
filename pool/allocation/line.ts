/** A program that waits for hosts. */
export interface Ticket {
  /** No two tickets have the same. */
  readonly id: string;
  /** A later ticket has a higher number; two that were taken at the same time may have the same. */
  readonly number: number;
  readonly tenant: string;
  readonly want: Want;
}

export interface Want {
  /** How many hosts, all at once. */
  readonly hosts: number;
  /** For a command of the program: then nobody else has the hosts. */
  readonly isExclusive: boolean;
}

/**
 * The order in which programs get hosts. The tenant that has the fewest is next; of one tenant, the program that came
 * first. So a tenant with many programs delays no other, and every program gets its turn.
 *
 * @param held how many hosts each tenant has.
 */
export function inTurn(tickets: readonly Ticket[], held: ReadonlyMap<string, number>): Ticket[] {
  const counts = new Map(held);
  const byNumber = [...tickets].sort(
    (one, other) => one.number - other.number || (one.id < other.id ? -1 : 1),
  );
  const ranked = byNumber.map((ticket) => {
    // As many as the tenant has when it is this ticket's turn.
    const rank = counts.get(ticket.tenant) ?? 0;
    counts.set(ticket.tenant, rank + ticket.want.hosts);
    return { ticket, rank };
  });
  // Where ranks are equal, the order of the numbers stays.
  return ranked.sort((one, other) => one.rank - other.rank).map(({ ticket }) => ticket);
}
