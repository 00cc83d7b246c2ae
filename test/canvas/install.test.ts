import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  Canvas,
  cancelAnimationFrame,
  install,
  requestAnimationFrame,
} from '#farlight/client/canvas/index.js';

// The globals that a page's program finds, without TypeScript's declarations.
const page = globalThis as unknown as Record<string, never> & {
  document: {
    createElement(name: string): Canvas;
    createElementNS(namespace: string, name: string): Canvas;
    body: Canvas;
    contains(other: unknown): boolean;
  };
  window: EventTarget;
  OffscreenCanvas: typeof Canvas;
  HTMLCanvasElement: typeof Canvas;
};

const own = (name: string) => Object.getOwnPropertyDescriptor(globalThis, name);
const NAMES = ['window', 'self', 'document', 'devicePixelRatio', 'addEventListener', 'dispatchEvent'];
const CLASSES = [
  'HTMLCanvasElement',
  'OffscreenCanvas',
  'ResizeObserver',
  'GPUCanvasContext',
  'requestAnimationFrame',
];

let uninstall: () => void;
let before: unknown[];
beforeEach(() => {
  Object.defineProperty(globalThis, 'devicePixelRatio', { get: () => 3, configurable: true });
  before = [...NAMES, ...CLASSES].map(own);
  uninstall = install();
});
afterEach(() => {
  uninstall();
  Reflect.deleteProperty(globalThis, 'devicePixelRatio');
});

describe('an installed page', () => {
  it('uninstalling restores the former globals', () => {
    for (const name of [...NAMES, ...CLASSES]) expect(name in globalThis, name).toBe(true);
    expect(Reflect.get(globalThis, 'devicePixelRatio')).toBe(1);
    expect(install()).toBe(uninstall);
    uninstall();
    expect([...NAMES, ...CLASSES].map(own)).toEqual(before);
    expect(Reflect.get(globalThis, 'devicePixelRatio')).toBe(3);
  });

  it('can be installed again after uninstalling', () => {
    const { document } = page;
    uninstall();
    uninstall = install();
    expect(page.document).toBeDefined();
    expect(page.document).not.toBe(document);
  });

  it('creates canvases of 300 x 150 that have only a WebGPU context', () => {
    const canvas = page.document.createElement('canvas');
    expect([canvas.width, canvas.height, canvas.nodeName]).toEqual([300, 150, 'CANVAS']);
    expect(canvas).toBeInstanceOf(page.HTMLCanvasElement);
    const context = canvas.getContext('webgpu');
    expect(context).toBeInstanceOf(page.GPUCanvasContext);
    expect(canvas.getContext('webgpu')).toBe(context);
    expect(context?.canvas).toBe(canvas);
    expect([canvas.getContext('2d'), canvas.getContext('webgl2')]).toEqual([null, null]);
    expect(page.document.createElementNS('http://www.w3.org/1999/xhtml', 'canvas')).toBeInstanceOf(Canvas);
    const offscreen = new page.OffscreenCanvas(5, 6);
    expect([offscreen.width, offscreen.height]).toEqual([5, 6]);
    expect(() => new page.OffscreenCanvas(-1, 6)).toThrow(TypeError);
    expect(() => new page.OffscreenCanvas('wide' as never, 6)).toThrow("a canvas's width");
    expect(() => new (page.GPUCanvasContext as unknown as typeof Canvas)()).toThrow('Illegal constructor');
  });

  it('has a document with a body, where a canvas keeps its size', () => {
    const canvas = page.document.createElement('canvas');
    canvas.width = 64;
    expect(page.document.contains(canvas)).toBe(false);
    page.document.body.appendChild(canvas);
    page.document.body.appendChild(canvas);
    expect(page.document.body.children).toEqual([canvas]);
    expect([page.document.contains(canvas), canvas.isConnected]).toEqual([true, true]);
    expect(canvas.ownerDocument).toBe(page.document);
    expect(canvas.getBoundingClientRect()).toMatchObject({ left: 0, top: 0, width: 64, height: 150 });
    canvas.remove();
    expect([page.document.contains(canvas), canvas.isConnected, canvas.parentNode]).toEqual([
      false,
      false,
      null,
    ]);
    expect(canvas.ownerDocument).toBe(page.document);
  });

  it('receives the events that a program dispatches', () => {
    const heard: string[] = [];
    page.window.addEventListener('resize', ({ type }) => heard.push(type));
    page.window.dispatchEvent(new Event('resize'));
    expect(heard).toEqual(['resize']);
  });
});

describe('animation frames', () => {
  it('an animation frame has one time for all callbacks, and skips cancelled ones', async () => {
    const times: number[] = [];
    cancelAnimationFrame(requestAnimationFrame(() => times.push(Number.NaN)));
    await new Promise<void>((resolve) => {
      requestAnimationFrame((time) => times.push(time));
      requestAnimationFrame((time) => {
        times.push(time);
        resolve();
      });
    });
    expect(times).toHaveLength(2);
    expect(times[0]).toBe(times[1]);
  });
});
