/** Questions that must be answered before something is done. */
import { button, el } from "../view/dom";
import { t } from "../words/words";

let titles = 0;

/** Whether the person says yes. Escape and Cancel say no. */
export async function confirmed(title: string, text: string, yes: string): Promise<boolean> {
  return (await ask(title, el("p", {}, text), yes, "danger", () => "yes")) !== null;
}

/** What the person writes; null when they do not want to. `pattern` is an HTML pattern. */
export async function written(title: string, text: string, label: string, pattern: string, yes: string): Promise<string | null> {
  const field = el("input", { type: "text", required: "", pattern, autocomplete: "off", spellcheck: "false", maxlength: "32" });
  const body = el("div", { class: "ask-body" }, el("p", {}, text), el("label", {}, el("span", {}, label), field));
  return ask(title, body, yes, "primary", () => field.value.trim());
}

function ask(title: string, body: HTMLElement, yes: string, kind: string, value: () => string): Promise<string | null> {
  titles += 1;
  const id = `dialog-${titles}`;
  const cancel = button(t("list.cancel"), () => {
    dialog.close();
  });
  const form = el(
    "form",
    { method: "dialog" },
    el("h2", { id }, title),
    body,
    el("div", { class: "answers" }, cancel, el("button", { type: "submit", class: kind }, yes)),
  );
  const dialog = el("dialog", { "aria-labelledby": id }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    let answer: string | null = null;
    form.addEventListener("submit", () => {
      answer = value();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(answer);
    });
  });
}
