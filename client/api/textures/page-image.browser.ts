import { native } from '../../../link/machine/globals.js';
import { isObject } from '../../../proto/webidl/converters.js';
import { slot } from '../../../proto/webidl/slots.js';

type Drawable = Exclude<CanvasImageSource, SVGImageElement>;

/**
 * A GPUCopyExternalImageSourceInfo whose image can be read: of what only a page has, the pixels as ImageData.
 *
 * @throws DOMException SecurityError where the image is another origin's, InvalidStateError where it is broken.
 */
export function withReadable(info: unknown): unknown {
  if (!isObject(info)) return info;
  return Object.create(info, { source: { value: readable(Reflect.get(info, 'source')) } });
}

/**
 * The pixels of an image of the page; what is none is left as it is. Where it is partly transparent they have gone through a canvas, which keeps them multiplied by alpha: the last bits are lost.
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

// A worker has not all of these.
const page = globalThis as Partial<typeof globalThis>;
/** What a canvas draws, by the attributes that say its width and height in pixels. */
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

/** Width and height in pixels of what a canvas draws, an iframe's too; undefined where it is no such thing. */
function sizeOf(source: unknown): [number, number] | undefined {
  for (const attributes of DRAWABLE) {
    const [width, height] = attributes.map((read) => read(source));
    if (width !== undefined && height !== undefined) return [width, height];
  }
  return undefined;
}
