// Dialogs, toasts, menus, times that count on, the filter, and the keyboard.
// Everything here is an extra: without it each action is a page of its own.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const dialog = $("#dialog");

/** Say something to those who hear the page. */
export function announce(text) {
  $("#announcer").textContent = text;
}

/* ---------- dialogs: a link marked data-dialog opens in one ---------- */

let opener = null;

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    closeMenus();
    opener = link.closest("[id]")?.id;
    htmx.ajax("GET", link.href, { target: dialog, swap: "innerHTML" });
  }
  const open = event.target.closest("[data-open]");
  if (open) {
    closeMenus();
    document.getElementById(open.dataset.open).showModal();
  }
  if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
  const toast = event.target.closest("[data-dismiss]")?.closest(".toast");
  if (toast) toast.remove();
  if (event.target instanceof HTMLDialogElement) event.target.close(); // the backdrop
  if (!event.target.closest("details.menu")) closeMenus();
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target !== dialog || !dialog.childElementCount) return;
  if (!dialog.open) dialog.showModal();
  const first = $("[autofocus]", dialog) ?? $(".invalid :is(input, select, textarea)", dialog);
  first?.focus();
});

document.addEventListener("closeDialog", () => {
  dialog.close();
  dialog.replaceChildren(); // at once: the answer that closed it may be swapped before "close" comes
});
dialog.addEventListener("close", () => {
  dialog.replaceChildren();
  const back = opener && $("a, button, summary", document.getElementById(opener) ?? undefined);
  back?.focus({ preventScroll: true });
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.responseURL && new URL(xhr.responseURL).pathname === "/login/") {
    event.detail.shouldSwap = false; // signed out meanwhile: sign in, then come back here
    location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
});
document.addEventListener("htmx:responseError", (event) => {
  const { status } = event.detail.xhr;
  toast(status === 403 ? "You may not do this, or were signed out." : `The server answered with an error (${status}).`);
});
document.addEventListener("htmx:sendError", () => toast("The server could not be reached. Nothing was changed."));

/* ---------- toasts ---------- */

function toast(text) {
  const node = document.createElement("div");
  node.className = "toast is-bad";
  node.setAttribute("role", "alert");
  const label = document.createElement("div");
  label.textContent = text;
  node.append(document.createElement("span"), label);
  $("#toasts").append(node);
  setTimeout(() => node.remove(), 8000);
}

/** A toast whose operation has ended goes by itself, unless the pointer or focus is on it. */
export function expireToasts() {
  for (const node of $$(".toast[data-ended]:not([data-expires])")) {
    node.dataset.expires = "";
    setTimeout(function go() {
      if (node.matches(":hover, :focus-within")) setTimeout(go, 3000);
      else node.remove();
    }, Number(node.dataset.ended) || 15000);
  }
}
document.addEventListener("htmx:afterSettle", expireToasts);

/* ---------- times that count on ---------- */

const skew = Date.now() / 1000 - Number(document.body.dataset.now);

function short(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]])
    if (whole >= size) return `${Math.floor(whole / size)} ${unit}`;
  return `${whole} s`;
}

export function tick() {
  const now = Date.now() / 1000 - skew;
  for (const node of document.getElementsByClassName("since")) {
    const text = short(now - Number(node.dataset.since));
    if (node.textContent !== text) node.textContent = text;
  }
  for (const node of document.getElementsByClassName("until")) {
    const text = short(Number(node.dataset.until) - now);
    if (node.textContent !== text) node.textContent = text;
  }
}
setInterval(() => document.hidden || tick(), 1000);

/* ---------- filter: every word must occur ---------- */

const filter = $("[data-filter]");

export function applyFilter() {
  if (!filter) return;
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  const all = $$(filter.dataset.filter);
  for (const node of all) {
    node.hidden = !words.every((word) => node.dataset.find.includes(word));
    if (!node.hidden) shown += 1;
  }
  $("[data-filter-empty]").hidden = shown > 0 || all.length === 0;
}
filter?.addEventListener("input", applyFilter);

/* ---------- colours ---------- */

$("[data-theme-toggle]")?.addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const next = dark ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  announce(`${next} colours`);
});

/* ---------- menus and keyboard ---------- */

function closeMenus() {
  for (const menu of $$("details.menu[open]")) menu.open = false;
}

document.addEventListener("toggle", (event) => {
  if (event.target.matches?.("details.menu[open]"))
    for (const menu of $$("details.menu[open]")) if (menu !== event.target) menu.open = false;
}, true);

let last = "";
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (event.target === filter) {
      filter.value = "";
      applyFilter();
      filter.blur();
    }
    const menu = event.target.closest?.("details.menu[open]");
    closeMenus();
    menu?.querySelector("summary").focus();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, [contenteditable], dialog")) return;
  const pair = last + event.key;
  last = event.key === "g" ? "g" : "";
  const places = { go: "overview", gg: "groups", gn: "nodes", gh: "history", gp: "plan" };
  if (places[pair]) {
    last = "";
    $(`.nav [data-place="${places[pair]}"]`)?.click();
  } else if (event.key === "/") {
    event.preventDefault();
    const search = $("[data-search]");
    if (search) search.focus();
    else $("#open-palette")?.click();
  } else if (event.key === "?") {
    $("#help").showModal();
  }
});
