export const LINES: readonly {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly upsideDown?: boolean;
}[];
