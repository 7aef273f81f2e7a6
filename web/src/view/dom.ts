/** Small helpers to build nodes. */

type Child = Node | string | null;

/** An element with attributes and children; null children are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function button(label: string, action: () => void, kind = ""): HTMLButtonElement {
  const node = el("button", { type: "button", class: kind }, label);
  node.addEventListener("click", action);
  return node;
}

/** The page's own element of this id. Throws when the page has none. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const node = document.getElementById(id);
  if (!(node instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return node;
}

/** Hand it to the browser as a download. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  // The browser reads it a moment later.
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000);
}
