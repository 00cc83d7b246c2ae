import { Canvas } from './canvas.js';
import { GPUCanvasContext } from './canvas-context.js';
import { PlainElement } from './elements.js';
import { cancelAnimationFrame, requestAnimationFrame } from './frames/animation.js';

class OffscreenCanvas extends Canvas {}

/** A document without content. */
class PlainDocument extends PlainElement {
  readonly documentElement = this.appendChild(this.createElement('html'));
  readonly head = this.documentElement.appendChild(this.createElement('head'));
  readonly body = this.documentElement.appendChild(this.createElement('body'));
  readonly hidden = false;
  readonly visibilityState = 'visible';

  constructor() {
    super('#document');
  }

  createElement(tagName: unknown): PlainElement {
    const name = String(tagName).toLowerCase();
    const element = name === 'canvas' ? new Canvas() : new PlainElement(name);
    element.ownerDocument = this;
    return element;
  }

  createElementNS(_namespace: unknown, tagName: unknown): PlainElement {
    return this.createElement(tagName);
  }
}

/** Of sizes that a page would give its elements: here nobody does. PixiJS polls with animation frames where it is not. */
class ResizeObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

let uninstall: (() => void) | undefined;

/**
 * Makes what engines for pages take from one: a document that gives out canvases, `OffscreenCanvas`, animation frames,
 * and a window that hears of nothing. Engines are to be loaded after it, and other libraries before, which might take
 * this process for a page.
 *
 * @returns what takes it away again, and puts back what was there before.
 */
export function install(): () => void {
  uninstall ??= define(pageGlobals());
  return uninstall;
}

function pageGlobals(): Record<string, unknown> {
  const events = new EventTarget();
  return {
    self: globalThis,
    window: globalThis,
    document: new PlainDocument(),
    devicePixelRatio: 1,
    addEventListener: events.addEventListener.bind(events),
    removeEventListener: events.removeEventListener.bind(events),
    dispatchEvent: events.dispatchEvent.bind(events),
    requestAnimationFrame,
    cancelAnimationFrame,
    HTMLCanvasElement: Canvas,
    OffscreenCanvas,
    ResizeObserver,
    GPUCanvasContext,
  };
}

/** Returns what undoes it. */
function define(globals: Record<string, unknown>): () => void {
  const before = Object.keys(globals).map(
    (name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const,
  );
  for (const [name, value] of Object.entries(globals))
    Object.defineProperty(globalThis, name, { value, configurable: true, enumerable: false, writable: true });
  return () => {
    uninstall = undefined;
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else Reflect.deleteProperty(globalThis, name);
    }
  };
}
