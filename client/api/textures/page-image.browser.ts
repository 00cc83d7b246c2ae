import { native } from '../../../link/machine/globals.js';
import { isObject } from '../../../proto/webidl/converters.js';
import { slot } from '../../../proto/webidl/slots.js';

type Drawable = Exclude<CanvasImageSource, SVGImageElement>;

/**
 * Returns a GPUCopyExternalImageSourceInfo whose image can be read: sources that only a page has become
 * ImageData.
 *
 * @throws DOMException SecurityError if the image is from another origin, InvalidStateError if it is broken.
 */
export function withReadable(info: unknown): unknown {
  if (!isObject(info)) return info;
  return Object.create(info, { source: { value: readable(Reflect.get(info, 'source')) } });
}

/**
 * The pixels of an image of the page; any other value is returned as it is. Pixels go through a canvas, which
 * multiplies them by alpha: where an image is partly transparent, its last bits are lost.
 */
function readable(source: unknown): unknown {
  const size = sizeOf(source);
  if (!size) return source;
  const [width, height] = size;
  if (width === 0 || height === 0) return { data: new Uint8ClampedArray(0), width: 0, height: 0 };
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context)
    throw new native.DOMException('This browser has no canvas to read images with.', 'OperationError');
  context.drawImage(source as Drawable, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

// A worker does not have all of these.
const page = globalThis as Partial<typeof globalThis>;
/** Everything that a canvas can draw, with the attributes that tell its width and height in pixels. */
const DRAWABLE = (
  [
    [page.HTMLImageElement, 'naturalWidth', 'naturalHeight'],
    [page.HTMLVideoElement, 'videoWidth', 'videoHeight'],
    [page.VideoFrame, 'displayWidth', 'displayHeight'],
    [page.ImageBitmap, 'width', 'height'],
    [page.OffscreenCanvas, 'width', 'height'],
    [page.HTMLCanvasElement, 'width', 'height'],
  ] as const
).map(([kind, ...names]) => names.map((name) => slot<number>(kind?.prototype, name)));

/**
 * Width and height in pixels of anything that a canvas draws, also from an iframe; undefined for other
 * values.
 */
function sizeOf(source: unknown): [number, number] | undefined {
  for (const attributes of DRAWABLE) {
    const [width, height] = attributes.map((read) => read(source));
    if (width !== undefined && height !== undefined) return [width, height];
  }
  return undefined;
}
