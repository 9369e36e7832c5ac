// Pages of the history: the print button, and the timeline by keyboard and pointer.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
// What is folded on the screen is read on paper.
window.addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll(".report details")) fold.open = true;
});

/* ---------- timeline: keys that do what its buttons do, and what a span says ---------- */

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const key = event.key === "=" ? "+" : event.key;
  const way = document.querySelector(`[data-way-key="${CSS.escape(key)}"]`);
  if (!way) return;
  event.preventDefault();
  way.click();
});

function tell(event) {
  const span = event.target.closest?.("[data-tells]");
  const told = document.getElementById("told");
  if (span && told) told.textContent = span.dataset.tells;
}
document.addEventListener("pointerover", tell);
document.addEventListener("focusin", tell);
