// The calendar by keyboard, and the form that shows what belongs to what is chosen.

let before = ""; // "g n" goes to the nodes, as on every page

document.addEventListener("keydown", (event) => {
  const second = before === "g";
  before = event.key;
  if (second || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const way = document.querySelector(`[data-way-key="${CSS.escape(event.key)}"]`);
  if (!way) return;
  event.preventDefault();
  way.click();
});

const form = document.querySelector("[data-schedule-form]");

function show() {
  for (const name of ["kind", "repeat"]) {
    const chosen = form.elements[name].value;
    for (const part of form.querySelectorAll(`[data-when-${name}]`))
      part.hidden = !part.getAttribute(`data-when-${name}`).split(" ").includes(chosen);
  }
}

if (form) {
  form.addEventListener("change", show);
  show();
}
