export const LINES: readonly {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly upsideDown?: boolean;
}[];

interface Ball {
  readonly centre: readonly [x: number, y: number, z: number];
  readonly radius: number;
}

export const BALLS: readonly Ball[];
export function ballVolume(ball: Ball): number;
export function bodyVolume(): number;
export function drawScan(): Uint8Array<ArrayBuffer>;
export function ballNetwork(): Uint8Array<ArrayBuffer>;

interface Floats {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export function cut(inputs: { scan: { data: Uint8Array } }): { blocks: Floats; size: { data: Int32Array } };
export function join(inputs: { scores: Floats; size: { data: Int32Array } }): {
  labels: { shape: readonly number[]; data: Uint8Array };
};
