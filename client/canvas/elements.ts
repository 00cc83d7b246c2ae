/**
 * An element of a document that nobody sees. It has a place, a style and attributes, as engines expect. It
 * gets only the events that the program itself dispatches.
 */
export class PlainElement extends EventTarget {
  readonly tagName: string;
  readonly style: Record<string, unknown> = {};
  readonly children: PlainElement[] = [];
  parentElement: PlainElement | null = null;
  /** The document that created it, if any. */
  ownerDocument: PlainElement | null = null;
  id = '';
  tabIndex = -1;
  readonly #attributes = new Map<string, string>();

  constructor(tagName: string) {
    super();
    this.tagName = tagName.toUpperCase();
  }

  get nodeName(): string {
    return this.tagName;
  }

  get parentNode(): PlainElement | null {
    return this.parentElement;
  }

  get isConnected(): boolean {
    return this.ownerDocument?.contains(this) ?? false;
  }

  appendChild<T extends PlainElement>(child: T): T {
    child.remove();
    child.parentElement = this;
    this.children.push(child);
    return child;
  }

  removeChild<T extends PlainElement>(child: T): T {
    child.remove();
    return child;
  }

  remove(): void {
    const siblings = this.parentElement?.children ?? [];
    const at = siblings.indexOf(this);
    if (at >= 0) siblings.splice(at, 1);
    this.parentElement = null;
  }

  contains(other: unknown): boolean {
    return other === this || this.children.some((child) => child.contains(other));
  }

  getAttribute(name: string): string | null {
    return this.#attributes.get(name) ?? null;
  }

  setAttribute(name: string, value: unknown): void {
    this.#attributes.set(name, String(value));
  }

  removeAttribute(name: string): void {
    this.#attributes.delete(name);
  }
}
