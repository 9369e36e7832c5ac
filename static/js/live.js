// Keeps the page true: takes what the server pushes and changes only what differs.
//
// A message is a line with the number of the newest event, then HTML whose elements carry
// ids. The number is sent back when the connection is made again, so that nothing between
// is missed. See monitoring/live/hub.py.

import { announce, applyFilter, expireToasts, tick } from "./ui.js";

const SILENCE = 12_000; // ms without a sign of life after which the line counts as cut
const HANDSHAKE = 3_000; // ms until a connection has to be there, with its first message
const LONGEST_WAIT = 8_000; // ms between two attempts to connect

const { body } = document;
const banner = document.getElementById("banner");
const linkState = document.getElementById("link-state");
const pending = new Map(); // what came for an element that the page is about to get (a toast)
let seq = Number(body.dataset.liveSeq) || 0;
let socket = null;
let failures = 0;
let watchdog = 0;
let retry = 0;
let lostAt = 0;
let watched = topic();

/** What the page watches; a part that is swapped may bring another view of the same. */
function topic() {
  return document.querySelector("[data-topic]")?.dataset.topic ?? body.dataset.liveTopic;
}

function connect() {
  clearTimeout(retry);
  const url = new URL("/live/", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("topic", watched = topic());
  url.searchParams.set("since", seq);
  url.searchParams.set("lang", document.documentElement.lang);
  url.searchParams.set("zone", body.dataset.zone);
  const mine = new WebSocket(url);
  socket = mine;
  listenFor(HANDSHAKE);
  mine.onmessage = (event) => {
    listenFor(SILENCE);
    receive(event.data);
  };
  mine.onclose = (event) => {
    if (mine !== socket) return;
    if (event.code === 4403) location.reload(); // signed out, or another role now
    else if (event.code !== 4404) lost();
  };
}

/** Give up on a line that is silent: a cable that was pulled sends no goodbye. */
function listenFor(ms) {
  clearTimeout(watchdog);
  const mine = socket;
  watchdog = setTimeout(() => {
    if (mine !== socket) return;
    socket = null;
    mine.close();
    failures = Math.max(failures, 1); // long enough already: say so now
    lost();
  }, ms);
}

function lost() {
  clearTimeout(watchdog);
  if (!lostAt) {
    lostAt = Date.now();
    const at = new Date(lostAt).toLocaleTimeString([], { hourCycle: "h23" });
    banner.querySelector("span").textContent = `Connection lost at ${at}. What you see may be out of date. Reconnecting…`;
  }
  failures += 1;
  // The first attempt is quick, so a restarted server is not noticed; then the wait grows, spread
  // so that many pages do not come back at the same instant.
  const wait = failures === 1 ? 150 : Math.min(LONGEST_WAIT, 250 * 2 ** failures) * (0.5 + Math.random() / 2);
  if (failures > 1) {
    banner.hidden = false;
    body.classList.add("offline");
    show("is-bad", "Reconnecting");
  }
  retry = setTimeout(connect, wait);
}

function found() {
  failures = 0;
  if (lostAt && !banner.hidden) announce("Connected again. The page is up to date.");
  lostAt = 0;
  banner.hidden = true;
  body.classList.remove("offline");
  show("is-ok", "Live");
}

function show(tone, text) {
  linkState.hidden = false;
  linkState.className = `link-state ${tone}`;
  if (linkState.lastElementChild.textContent !== text) linkState.lastElementChild.textContent = text;
}

function receive(text) {
  const end = text.indexOf("\n");
  const [number, word] = text.slice(0, end).split(" ");
  seq = Math.max(seq, Number(number));
  if (word === "REFETCH") refetch();
  else if (end + 1 < text.length) apply(text.slice(end + 1));
  found();
}

/** Too much is different: take the page anew, and change what differs. */
export async function refetch() {
  const answer = await fetch(location.href, { headers: { "X-Requested-With": "live" } });
  if (!answer.ok || answer.redirected) return location.reload();
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  seq = Math.max(seq, Number(page.body.dataset.liveSeq));
  morph(document.getElementById("main"), page.getElementById("main"));
  afterwards();
}

/** Swap in each element of `html` where the page has its id; place it where it belongs. */
function apply(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const said = [];
  for (const fresh of [...template.content.children]) {
    const old = document.getElementById(fresh.id);
    if (old) {
      if (!("shell" in fresh.dataset) && !fresh.isEqualNode(old)) update(old, fresh, said);
    } else if (fresh.dataset.parent && document.getElementById(fresh.dataset.parent)) {
      const copy = document.importNode(fresh, true);
      place(copy);
      htmx.process(copy);
    } else if (fresh.id) {
      pending.set(fresh.id, fresh);
      setTimeout(() => pending.delete(fresh.id), 20_000);
    }
  }
  if (said.length) announce(said.slice(0, 3).join(". "));
  afterwards();
}

function update(old, fresh, said) {
  const before = spoken(old);
  const tone = old.className;
  morph(old, fresh);
  const now = document.getElementById(fresh.id);
  if (fresh.dataset.parent) place(now);
  const after = spoken(now);
  if (after && after !== before) said.push(after);
  if (tone.replace(" fresh", "") !== fresh.className) flash(now);
}

function morph(old, fresh) {
  const focused = document.activeElement;
  Idiomorph.morph(old, fresh.cloneNode(true), {
    morphStyle: "outerHTML",
    ignoreActiveValue: true,
    callbacks: {
      // What the reader opened, typed or chose stays as it is.
      beforeAttributeUpdated: (name, node) =>
        !(name === "open" && node.matches("details")) && !(name === "hidden" && node.matches("[data-find]")),
      beforeNodeMorphed: (node) => !(node.nodeType === 1 && node.matches("input, textarea, select") && node.closest("form[method=post]")),
    },
  });
  const now = document.getElementById(fresh.id);
  if (now) htmx.process(now);
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

/** Put an element into its parent, in the order of data-sort; leave it where it is right. */
function place(node) {
  const parent = document.getElementById(node.dataset.parent);
  if (!parent) return; // a list that is filtered keeps its own order
  const { sort } = node.dataset;
  const after = [...parent.children].find((other) => other !== node && other.dataset.sort > sort) ?? null;
  if (node.parentElement === parent && (node.nextElementSibling === after)) return;
  parent.insertBefore(node, after);
  flash(node);
}

function spoken(node) {
  const [first] = node.matches("[data-announce]") ? [node] : node.querySelectorAll("[data-announce]");
  return first?.textContent.trim() ?? "";
}

function flash(node) {
  node.classList.remove("fresh");
  requestAnimationFrame(() => node.classList.add("fresh"));
}

function afterwards() {
  tick();
  applyFilter();
  expireToasts();
  document.dispatchEvent(new CustomEvent("live:applied"));
}

/** A swapped part shows what was true when it was asked for: go on from there. */
function follow() {
  const part = document.querySelector("[data-topic]");
  if (!part || !socket || (part.dataset.topic === watched && Number(part.dataset.seq) >= seq)) return;
  seq = Number(part.dataset.seq);
  const old = socket;
  socket = null;
  old.close();
  connect();
}

document.addEventListener("htmx:afterSettle", () => {
  follow();
  for (const [id, fresh] of pending) {
    const old = document.getElementById(id);
    if (!old) continue;
    pending.delete(id);
    update(old, fresh, []);
  }
});

if (body.dataset.liveTopic) {
  connect();
  addEventListener("online", () => failures > 1 && connect());
  document.addEventListener("visibilitychange", () => !document.hidden && failures > 1 && connect());
  addEventListener("pagehide", () => {
    const open = socket;
    socket = null;
    open?.close();
  });
  addEventListener("pageshow", (event) => event.persisted && connect());
}
