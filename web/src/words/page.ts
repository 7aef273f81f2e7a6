/**
 * The words of the pages' own markup: `data-t` names the key of an element's text, `data-t-label` of its accessible
 * name, which a button shows as its tooltip too, and `data-t-tip` of a tooltip alone.
 */
import { currentLanguage, maybe } from "./words";

/** Before the page's scripts read or change any of it. Throws on a key that no table has. */
export function translate(root: ParentNode = document): void {
  document.documentElement.lang = currentLanguage();
  for (const node of root.querySelectorAll<HTMLElement>("[data-t]")) node.textContent = word(node.dataset["t"]);
  for (const node of root.querySelectorAll<HTMLElement>("[data-t-label]")) {
    const label = word(node.dataset["tLabel"]);
    node.setAttribute("aria-label", label);
    if (node instanceof HTMLButtonElement) node.title = label;
  }
  for (const node of root.querySelectorAll<HTMLElement>("[data-t-tip]")) node.title = word(node.dataset["tTip"]);
}

function word(key = ""): string {
  const found = maybe(key);
  if (found === null) throw new Error(`no words for ${key}`);
  return found;
}
