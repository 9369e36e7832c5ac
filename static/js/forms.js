// Forms of the topology: whoever types a value of their own means it, so the choice beside the
// field follows. Without this file the choice is made by hand.
document.addEventListener("input", (event) => {
  const own = event.target.closest?.(".word-or-value .own");
  const choice = own?.querySelector('input[type="radio"]');
  if (choice && event.target.value) choice.checked = true;
});
