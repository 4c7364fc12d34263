"use strict";
// Keys, ratings without loading the page again, and the news that a run has gone on. All of it can be
// done without: what is rated here is sent by plain forms where there is no script.
const body = document.body;
const find = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const say = (text) => { find("#status").textContent = text; };

async function send(address, value) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(value),
    });
    const found = await answer.json();
    if (answer.ok) return found;
    say(`Not saved: ${found.error || answer.status}`);
  } catch {
    say("Not saved: the viewer does not answer.");
  }
  return null;
}

async function rate(value, done) {
  const found = await send(body.dataset.rate, value);
  if (found === null) return;
  for (const button of all("[data-decision]")) {
    button.setAttribute("aria-pressed", String(button.dataset.decision === found.decision));
  }
  say(done);
}

function decide(decision) {
  const button = find(`[data-decision="${decision}"]`);
  if (button && button.disabled) return say("There is nothing to accept: the sample has no messages.");
  const chosen = button && button.getAttribute("aria-pressed") === "true" ? null : decision;
  rate({ decision: chosen }, chosen ? `Saved: ${chosen}.` : "Saved: no decision.");
}

function editing() {
  const fields = all("[data-message]");
  if (!fields.length) return;
  find("#edits").open = true;
  fields[fields.length - 1].focus();
}

function edits(original) {
  const changed = {};
  for (const field of all("[data-message]")) {
    if (original) changed[field.dataset.message] = null;
    else if (field.value !== field.defaultValue) changed[field.dataset.message] = field.value;
  }
  return changed;
}

async function saveEdits() {
  const changed = edits(false);
  if (!Object.keys(changed).length) return say("Nothing was changed.");
  await rate({ edits: changed }, "Saved: the edit.");
  if (find("#status").textContent.startsWith("Saved")) {
    for (const field of all("[data-message]")) field.defaultValue = field.value;
  }
}

function move(by) {
  const link = find(by > 0 ? "#later" : "#earlier");
  if (body.dataset.page === "sample") {
    if (link) location.href = link.href;
    else say(by > 0 ? "This is the last one." : "This is the first one.");
    return;
  }
  const lines = all("#lines a");
  if (!lines.length) return;
  const at = lines.indexOf(document.activeElement);
  const next = lines[at < 0 ? 0 : Math.min(lines.length - 1, Math.max(0, at + by))];
  next.focus();
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  "/": () => { const field = find("#search"); if (field) { field.focus(); field.select(); } else if (find("#back")) location.href = find("#back").href; },
  "?": () => find("#help").showModal(),
};
const ratingKeys = {
  a: () => decide("accept"),
  r: () => decide("reject"),
  u: () => rate({ decision: null }, "Saved: no decision."),
  e: editing,
  n: () => find("#note").focus(),
  p: () => find("#as-written") && find("#as-written").click(),
};

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, textarea, select");
  if (field && event.key === "Escape") return field.blur();
  if (field && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (field.id === "note") find("#save-note").click();
    else if (field.dataset.message) saveEdits();
    return;
  }
  if (field || event.ctrlKey || event.metaKey || event.altKey || find("#help").open) return;
  const rating = body.dataset.page === "sample" && ratingKeys[event.key];
  if (keys[event.key] || rating) {
    event.preventDefault();
    (keys[event.key] || rating)();
  } else if (event.key === "Escape" && find("#back")) {
    location.href = find("#back").href;
  }
});

find("#help-button").addEventListener("click", () => find("#help").showModal());
for (const form of all("form[method=post]")) form.addEventListener("submit", (event) => event.preventDefault());
find("#rater").addEventListener("change", async (event) => {
  if (await send("/rater", { rater: event.target.value })) location.reload();
});
for (const button of all("[data-decision]")) {
  button.addEventListener("click", () => decide(button.dataset.decision));
}
for (const choice of all("[data-criterion]")) {
  choice.addEventListener("change", () => {
    const holds = choice.value === "" ? null : choice.value === "true";
    rate({ criteria: { [choice.dataset.criterion]: holds } }, "Saved.");
  });
}
const listen = (selector, act) => { const button = find(selector); if (button) button.addEventListener("click", act); };
listen("#save-note", () => rate({ note: find("#note").value }, "Saved: the note."));
listen("#undecide", () => rate({ decision: null }, "Saved: no decision."));
listen("#edit-button", (event) => { event.preventDefault(); editing(); });
listen("#save-edits", saveEdits);
listen("#drop-edits", async () => { await rate({ edits: edits(true) }, "Saved: no edit."); location.reload(); });

// As it is written or as it is meant: remembered from one sample to the next.
const asWritten = find("#as-written");
if (asWritten) {
  asWritten.checked = sessionStorage.getItem("as-written") === "yes";
  asWritten.addEventListener("change", () => sessionStorage.setItem("as-written", asWritten.checked ? "yes" : "no"));
}

const filters = find("#filters");
if (filters) filters.open = window.matchMedia("(min-width: 48.01rem)").matches;

// A run that is still going: say how many samples have come, and let the reader ask for them.
if (body.dataset.state) {
  setInterval(async () => {
    if (document.hidden) return;
    try {
      const found = await (await fetch(body.dataset.state)).json();
      const more = found.samples - Number(body.dataset.samples);
      const line = find("#new");
      line.hidden = more <= 0;
      line.firstElementChild.textContent = `${more.toLocaleString("en")} new sample${more === 1 ? "" : "s"}: show`;
    } catch { /* the viewer was ended; what is shown stays */ }
  }, 5000);
}
