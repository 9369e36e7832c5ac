// The lists of the overview show a window of the groups. After each change: what left the window
// goes, and where something is missing that stands in it now, the page is taken anew, once.

import { refetch } from "./live.js";

const SETTLE = 400; // ms in which what is missing may still come
let asked = 0;

function arrange() {
  let missing = false;
  for (const { dataset } of document.querySelectorAll("#window > i")) {
    const list = document.getElementById(dataset.list);
    if (!list) continue;
    const ids = dataset.shown.split(" ").filter(Boolean).map((id) => `group-${id}`);
    const shown = new Set(ids);
    for (const card of [...list.children]) if (!shown.has(card.id)) card.remove();
    missing ||= ids.some((id) => !document.getElementById(id));
  }
  clearTimeout(asked);
  if (missing) asked = setTimeout(refetch, SETTLE);
}

document.addEventListener("live:applied", arrange);

// The address of a view names what is chosen, and nothing else.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.elt.id !== "overview-filters") return;
  for (const [name, value] of [...detail.formData.entries()]) if (!value) detail.formData.delete(name);
});
