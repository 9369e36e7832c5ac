// Reports of the history: the print button, which needs a script to be of use.

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
// What is folded on the screen is read on paper.
window.addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll(".report details")) fold.open = true;
});
