// The page of one failover: copying its link and summary, and which notes are one's own.

const told = document.getElementById("share-told");

async function copy(field) {
  field.focus();
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch { // no secure context, or not allowed
    return document.execCommand("copy");
  }
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copy(document.getElementById(button.dataset.copy)).catch(() => false);
    told.textContent = done ? told.dataset.done : told.dataset.byHand;
    if (done) button.focus();
  });
}

/** What is pushed is the same for all: the page itself knows whose notes are one's own. */
function own() {
  const { me } = document.getElementById("record-me").dataset;
  for (const node of document.querySelectorAll("[data-own]")) node.hidden = node.dataset.own !== me;
}
own();
document.addEventListener("live:applied", own);
document.addEventListener("htmx:afterSettle", own);
