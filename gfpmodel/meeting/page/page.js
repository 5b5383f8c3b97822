// The page of a case: the address is the case, the controls follow it, and every change asks the server.
"use strict";

const at = (id) => document.getElementById(id);
const START = JSON.parse(at("start").textContent);
const MENUS = ["order", "context", "pcp", "kernel", "config", "load"];
const OWN = ["request", "context", "config"]; // menus with a text box for what they do not list
let latest = 0;
let versus = ""; // the query of the case that stands beside

const listed = (id, value) => [...at(id).options].some((option) => option.value === value);

function choose(id, value, text) {
  const own = !listed(id, value);
  if (own && !text) return; // an unknown proposal: the menu stays as it is
  if (own && id === "kernel") at(id).add(new Option(text, value)); // that of a report
  if (OWN.includes(id)) {
    at(id).value = own ? "own" : value;
    at(`${id}-own`).value = own ? text : "";
  } else if (listed(id, value)) {
    at(id).value = value;
  }
}

function readAddress() {
  const asked = Object.fromEntries(new URLSearchParams(location.search)); // a case without another stands alone
  const given = { ...START, ...(location.search ? { versus: "" } : {}), ...asked };
  choose("request", given.gfp ? `gfp:${given.gfp}` : `proposal:${given.proposal}`, given.gfp);
  for (const id of MENUS) choose(id, String(given[id]), String(given[id]));
  at("contended").checked = given.contended === "1";
  versus = given.versus;
  showOwn();
}

function showOwn() {
  for (const id of OWN) at(`${id}-own`).parentElement.hidden = at(id).value !== "own";
}

function readControls() {
  const value = (id) => (at(id).value === "own" ? at(`${id}-own`).value.trim() : at(id).value);
  const [kind, ...rest] = at("request").value.split(":");
  const own = kind === "own" ? value("request") : rest.join(":");
  const state = { proposal: kind === "proposal" ? own : START.proposal, gfp: kind === "proposal" ? "" : own };
  for (const id of MENUS) state[id] = value(id);
  state.contended = at("contended").checked ? "1" : "0";
  return String(new URLSearchParams(state));
}

const both = (query) => `?${query}&versus=${encodeURIComponent(versus)}`;

function showBeside(answer) {
  const other = answer?.versus;
  at("choice").textContent = answer?.choice || "";
  at("beside").hidden = !other;
  at("beside").innerHTML = other ? other.html : "";
  if (other) at("beside").prepend(titled("B", other));
  if (other) at("shown").prepend(titled("A", answer));
  at("swap").disabled = at("drop").disabled = !other;
}

function titled(letter, { title, outcome }) {
  const line = document.createElement("p");
  line.className = "gfp-finding";
  line.textContent = `${letter}: ${title}: ${outcome}`;
  return line;
}

async function ask() {
  const mine = ++latest;
  at("shown").classList.add("stale");
  let answer, fine;
  try {
    const reply = await fetch(`meeting/case.json${location.search || both(readControls())}`);
    [answer, fine] = [await reply.json(), reply.ok];
  } catch (error) {
    [answer, fine] = [{ message: `the server does not answer (${error.message})` }, false];
  }
  if (mine !== latest) return; // a later change has asked again
  at("shown").classList.remove("stale");
  at("status").classList.toggle("fault", !fine);
  at("take").hidden = !fine;
  at("copied").textContent = "";
  at("status").textContent = fine ? `${answer.title}: ${answer.outcome}` : `✕ ${answer.message}`;
  at("shown").innerHTML = fine ? answer.html : "";
  showBeside(fine ? answer : null);
  at("block").textContent = fine ? answer.block : "";
  at("text").textContent = fine ? answer.text : "";
  document.title = fine ? `gfpmodel: ${answer.title}` : "gfpmodel: no such case";
  if (!fine) return;
  versus = answer.versus?.query || "";
  history.replaceState(null, "", both(answer.query));
  at("notebook").href = `meeting/case.ipynb?${answer.query}`;
}

function changed() {
  showOwn();
  const empty = OWN.map((id) => at(`${id}-own`)).find((box) => !box.parentElement.hidden && !box.value.trim());
  if (empty) {
    latest += 1; // no answer under way may hide what is missing
    at("shown").classList.add("stale");
    at("status").textContent = `Type ${empty.labels[0].textContent}; the address still has the case before.`;
    return;
  }
  const query = both(readControls());
  if (query !== location.search) history.pushState(null, "", query);
  ask();
}

async function copy(text, said, refused) {
  try {
    await navigator.clipboard.writeText(text);
    at("copied").textContent = said;
  } catch {
    at("copied").textContent = `The browser does not let this page copy; ${refused()}.`;
  }
}

let newest = 0;

async function explain() {
  const mine = ++newest;
  const text = at("printed").value;
  at("explained").classList.add("stale");
  at("found").textContent = "";
  let answer, fine;
  try {
    const headers = { "X-XSRFToken": at("report").dataset.xsrf, "Content-Type": "text/plain; charset=utf-8" };
    const reply = await fetch("meeting/report", { method: "POST", headers, body: text });
    [answer, fine] = [await reply.json(), reply.ok];
  } catch (error) {
    [answer, fine] = [{ message: `the server does not answer (${error.message})` }, false];
  }
  if (mine !== newest) return; // another text was sent since
  at("explained").classList.remove("stale");
  at("found").textContent = fine ? answer.outcome : `✕ ${answer.message}`;
  at("explained").innerHTML = fine ? answer.html : ""; // the server escapes every word of the text
  at("cases").replaceChildren(...(fine ? answer.cases : []).map(linked));
  at("same").hidden = !at("cases").childElementCount;
}

function linked({ words, query }) {
  const link = document.createElement("a");
  link.href = both(query);
  link.textContent = words;
  const item = document.createElement("li");
  item.append(link);
  return item;
}

at("report").addEventListener("submit", (event) => {
  event.preventDefault();
  explain();
});
at("case").addEventListener("change", changed);
at("case").addEventListener("submit", (event) => {
  event.preventDefault(); // Enter in a text box is a change, not a new page
  changed();
});
function go(mine, other) {
  versus = other;
  history.pushState(null, "", both(mine));
  readAddress();
  ask();
}

at("keep").addEventListener("click", () => go(readControls(), readControls()));
at("swap").addEventListener("click", () => go(versus, readControls()));
at("drop").addEventListener("click", () => go(readControls(), ""));
at("copy").addEventListener("click", () => {
  copy(at("block").textContent, "The text is copied.", () => {
    getSelection().selectAllChildren(at("block"));
    return "the text is selected";
  });
});
at("copy-address").addEventListener("click", () => {
  copy(location.href, "The address is copied; it has no token.", () => "it is in the address bar");
});
addEventListener("popstate", () => {
  readAddress();
  ask();
});

const clean = new URLSearchParams(location.search);
clean.delete("token"); // it is in a cookie by now, and must not get into a mail
history.replaceState(null, "", clean.size ? `?${clean}` : location.pathname);
readAddress();
ask();
