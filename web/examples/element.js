import "./client/element.js";
import { address, log } from "./common.js";

const desktop = document.querySelector("fenster-desktop");
for (const type of ["ready", "state", "transport", "stats", "clipboard", "control", "closing", "closed"]) {
  desktop.addEventListener(type, ({ detail }) => log(detail));
}
// An address in the attribute src would do too, but once only.
desktop.url = address;

// To try it in the console: await desktop.sendKeys({ text: "ls\n" })
globalThis.desktop = desktop;
