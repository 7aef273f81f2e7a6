/** Signs that the network may be another than it was: the browser says so, or the machine has slept. Needs the page. */

const TICK_MS = 2_000;
/** A clock that has gone on by so much between two ticks stood still with the machine; hidden pages tick rarely too. In ms. */
const SLEPT_MS = 10_000;

export function followNetwork(changed: () => void): void {
  window.addEventListener("online", changed);
  followKind(changed);
  document.addEventListener("resume", changed);
  let last = Date.now();
  setInterval(() => {
    const now = Date.now();
    if (now - last > SLEPT_MS) changed();
    last = now;
  }, TICK_MS);
}

/** Where the browser tells it: Wi-Fi is now mobile data. The event also comes for each new estimate of the speed. */
function followKind(changed: () => void): void {
  const { connection } = navigator as Navigator & { connection?: EventTarget & { readonly type?: string } };
  let last = connection?.type;
  connection?.addEventListener("change", () => {
    if (connection.type !== last) changed();
    last = connection.type;
  });
}
