/** What the three pages have in common: a new address from the own server, and a list of what was told. */
export async function address() {
  const answer = await fetch("/desktop", { method: "POST" });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()).url;
}

const list = document.querySelector("#log");

export function log(event) {
  const line = document.createElement("li");
  line.dataset.type = event.type;
  line.textContent = JSON.stringify(event);
  list.append(line);
  line.scrollIntoView();
}
