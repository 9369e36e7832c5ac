// The command palette: Ctrl-K, or the button. The server reads and ranks what is typed; here the
// focus stays in the field and the arrow keys choose (the combobox pattern of ARIA). Without this
// file the button leads to a search page.

const palette = document.getElementById("palette");
const field = document.getElementById("palette-q");
const list = document.getElementById("palette-list");
const enter = document.getElementById("palette-enter");
const said = document.getElementById("palette-said");
const REMEMBERED = 8;
const PAUSE = 50; // ms after a key before the server is asked

let asked = null;
let timer = 0;
let chosen = -1;

function recent() {
  try {
    return JSON.parse(localStorage.getItem("recent")) ?? [];
  } catch {
    return [];
  }
}

/** Keep what was opened, the newest first, for this browser. */
function remember(key) {
  if (key) localStorage.setItem("recent", JSON.stringify([key, ...recent().filter((one) => one !== key)].slice(0, REMEMBERED)));
}

export function openPalette() {
  if (!palette || document.querySelector("dialog[open]")) return;
  field.value = "";
  list.replaceChildren();
  palette.showModal();
  field.focus();
  ask();
}

async function ask() {
  asked?.abort();
  const mine = new AbortController();
  asked = mine;
  const url = new URL(list.dataset.url, location.href);
  url.searchParams.set("q", field.value);
  url.searchParams.set("recent", recent().join(","));
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true" }, signal: mine.signal });
    if (answer.redirected) return location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
    if (answer.ok) show(await answer.text());
  } catch (error) {
    if (error.name !== "AbortError") enter.textContent = "…";
  }
}

function show(html) {
  list.innerHTML = html;
  const count = options().length;
  choose(count ? 0 : -1);
  said.textContent = count === 1 ? said.dataset.one : count ? said.dataset.many.replace("{}", count) : said.dataset.none;
}

const options = () => [...list.querySelectorAll("[role=option]")];

function choose(index) {
  const all = options();
  all[chosen]?.setAttribute("aria-selected", "false");
  chosen = index;
  const one = all[index];
  if (!one) return field.removeAttribute("aria-activedescendant");
  for (const other of all) other.setAttribute("aria-selected", String(other === one));
  field.setAttribute("aria-activedescendant", one.id);
  enter.textContent = one.dataset.enter;
  one.scrollIntoView({ block: "nearest" });
}

function take(option) {
  remember(option.dataset.key);
  palette.close();
}

field?.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE);
});

field?.addEventListener("keydown", (event) => {
  const count = options().length;
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 5, PageUp: -5 }[event.key];
  if (step && count) {
    event.preventDefault();
    const next = chosen + step;
    choose(Math.abs(step) > 1 ? Math.max(0, Math.min(count - 1, next)) : (next + count) % count);
  } else if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    options()[chosen]?.click();
  } else if (event.key === "Escape" && field.value) {
    event.preventDefault(); // the first empties the field, the second closes
    field.value = "";
    ask();
  }
});

// Before the listeners of ui.js, which open the confirmation in the dialog.
list?.addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option && !event.ctrlKey && !event.metaKey) take(option);
});
list?.addEventListener("pointermove", (event) => {
  const option = event.target.closest("[role=option]");
  if (option && options().indexOf(option) !== chosen) choose(options().indexOf(option));
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k" && palette) {
    event.preventDefault();
    if (palette.open) palette.close();
    else openPalette();
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-palette]");
  if (!opener || event.ctrlKey || event.metaKey || event.button !== 0) return;
  event.preventDefault();
  openPalette();
});

if (/Mac|iPhone|iPad/.test(navigator.platform))
  for (const hint of document.querySelectorAll("[data-palette] kbd")) hint.textContent = "⌘ K";
