/** Without the package: the messages themselves. */
import { address, log } from "./common.js";

const frame = document.querySelector("iframe");
const url = await address();
const { origin } = new URL(url);
const replies = new Map();
let lastId = 0;

window.addEventListener("message", (event) => {
  // Only this frame, and only while it shows the gateway.
  if (event.source !== frame.contentWindow || event.origin !== origin || event.data?.fenster !== 1) return;
  const { id, type, ...rest } = event.data;
  if (type !== "reply") log({ type, ...rest });
  else if (rest.ok) replies.get(id)?.resolve(rest);
  else replies.get(id)?.reject(new Error(`${rest.error.kind}: ${rest.error.message}`));
});

function send(type, fields = {}) {
  lastId += 1;
  const id = lastId;
  frame.contentWindow.postMessage({ fenster: 1, id, type, ...fields }, origin);
  return new Promise((resolve, reject) => {
    replies.set(id, { resolve, reject });
  }).finally(() => replies.delete(id));
}

frame.addEventListener("load", () => {
  frame.contentWindow.postMessage({ fenster: 1, type: "hello" }, origin);
});
frame.src = url;

// To try it in the console: await send("sendKeys", { keys: [{ text: "ls\n" }] })
globalThis.send = send;
