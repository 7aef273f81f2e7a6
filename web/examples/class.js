import { FensterClient } from "./client/index.js";
import { address, log } from "./common.js";

const desktop = new FensterClient(document.querySelector("#place"), { url: address });
for (const type of ["ready", "state", "transport", "stats", "clipboard", "control", "closing", "closed"]) desktop.on(type, log);

// To try it in the console: await desktop.sendKeys({ text: "ls\n" })
globalThis.desktop = desktop;
