/** `/s/{id}`: the viewer by itself. */
import { claim, taken } from "../api/credentials";
import { problemOf } from "../api/http";
import { tab } from "../api/storage";
import { exchanged } from "../api/ticket";
import { claimViewerId } from "../api/viewer_id";
import { Viewer } from "./viewer";

const id = decodeURIComponent(/^\/s\/([^/]+)/.exec(location.pathname)?.[1] ?? "");
const slot = `fenster.token.${id}`;
// A link pasted over this one changes only the fragment.
window.addEventListener("hashchange", () => {
  location.reload();
});

const access = { id, token: "", viewer: claimViewerId(`fenster.viewer.${id}`) };
const viewer = new Viewer(access);
const ticket = taken("ticket");
if (ticket === null) {
  access.token = claim("token", slot);
  viewer.start();
} else {
  exchanged(ticket).then(
    (token) => {
      access.token = token;
      tab.set(slot, token);
      viewer.start();
    },
    (error: unknown) => {
      viewer.refuse(problemOf(error));
    },
  );
}
