import { Canvas } from './canvas.js';
import { GPUCanvasContext } from './canvas-context.js';
import { PlainElement } from './elements.js';
import { cancelAnimationFrame, requestAnimationFrame } from './frames/animation.js';

class OffscreenCanvas extends Canvas {}

/** An empty document. */
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

/**
 * Never calls back: no page sets the sizes of elements here. It must exist, because PixiJS otherwise polls
 * with animation frames.
 */
class ResizeObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

let uninstall: (() => void) | undefined;

/**
 * Makes the parts of a page that engines use: a document that creates canvases, `OffscreenCanvas`, animation
 * frames, and a window without events of its own. Load engines after it. Load other libraries before it: they
 * might take this process for a page.
 *
 * @returns a function that removes them and restores the former globals.
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

/** Returns a function that undoes it. */
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
