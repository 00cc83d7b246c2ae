export interface SlowLine {
  url: string;
  /** Bytes that the line has passed, to the host and from it. */
  counted: { up: number; down: number };
  /** Closes the connections that are open; others may come. */
  cut(): void;
  close(): void;
}

export function slowLine(port: number, options: { megabits: number; delayMs?: number }): Promise<SlowLine>;
