// Keeps the page up to date. Markup comes from the server alone, which escapes every value; nothing is put together here.
"use strict";

const page = document.body.dataset.page;
const version = document.body.dataset.version;
const byId = (id) => document.getElementById(id);

function ago(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]])
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  return seconds < 10 ? "just now" : `${Math.floor(seconds)} s ago`;
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function tell(root) {
  for (const time of root.querySelectorAll("time[data-at]")) {
    const at = Number(time.dataset.at);
    time.textContent = at ? ago(Math.max(0, Date.now() / 1000 - at)) : "–";
    if (at && !time.title) time.title = moment.format(at * 1000);
  }
}

function listen(address, heard) {
  const source = new EventSource(address);
  source.onopen = () => { byId("gone").hidden = true; };
  source.onerror = () => { byId("gone").hidden = false; };
  source.onmessage = (event) => {
    const news = JSON.parse(event.data);
    if (news.again) location.reload();
    else heard(news);
  };
}

async function replace(place, address) {
  const answer = await fetch(address);
  if (!answer.ok) return location.reload();
  const open = [...place.querySelectorAll("details")].map((one) => one.open);
  place.innerHTML = await answer.text();
  place.querySelectorAll("details").forEach((one, number) => { one.open = open[number] || false; });
  tell(place);
}

// At most one replacement at a time; what happens meanwhile leads to one more.
function replacer(place, address, pause) {
  let busy = false, again = false;
  return async function act() {
    if (busy) { again = true; return; }
    busy = true;
    await replace(place, address).catch(() => {});
    setTimeout(() => { busy = false; if (again) { again = false; act(); } }, pause);
  };
}

function index() {
  const body = byId("rows"), find = byId("filter"), all = byId("all");
  body.append(byId("later").content);
  tell(body);
  const rows = new Map([...body.rows].map((row) => [row.dataset.run, row]));
  let column = 0, down = false;

  const shown = (row) => row.textContent.toLowerCase().includes(find.value.trim().toLowerCase());
  const filter = (row) => { row.hidden = !shown(row); };
  const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;

  function compare(one, other) {
    const [a, b] = [value(one), value(other)];
    if (a === "" || b === "") return (a === "") - (b === "");
    const order = isNaN(a) || isNaN(b) ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    return down ? -order : order;
  }

  function sort() {
    if (column) body.append(...[...rows.values()].sort(compare));
  }

  function put(name, markup) {
    const made = document.createElement("template");
    made.innerHTML = markup;
    const row = made.content.firstElementChild, before = rows.get(name);
    if (before) {
      row.cells[0].firstElementChild.checked = before.cells[0].firstElementChild.checked;
      before.replaceWith(row);
    } else body.append(row);
    rows.set(name, row);
    filter(row);
    tell(row);
    row.classList.add("new");
  }

  for (const button of document.querySelectorAll("th button"))
    button.addEventListener("click", () => {
      const chosen = button.parentElement.cellIndex, first = body.rows[0];
      // numbers are first looked at from the top
      down = chosen === column ? !down : first?.cells[chosen].dataset.value !== undefined;
      column = chosen;
      for (const th of document.querySelectorAll("th")) th.removeAttribute("aria-sort");
      button.parentElement.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort();
    });
  find.addEventListener("input", () => { rows.forEach(filter); });
  find.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  all.addEventListener("change", () => {
    for (const row of rows.values()) row.cells[0].firstElementChild.checked = all.checked && !row.hidden;
  });

  const charts = replacer(byId("charts"), "/charts", 5000);
  listen(`/events?version=${version}`, (news) => {
    for (const name of news.gone) { rows.get(name)?.remove(); rows.delete(name); }
    for (const [name, markup] of Object.entries(news.rows)) put(name, markup);
    byId("counts").textContent = news.counts;
    byId("empty").hidden = rows.size > 0;
    sort();
    charts();
  });
}

tell(document);
setInterval(() => tell(document), 10000);
if (page === "index") addEventListener("load", () => setTimeout(index));
if (page === "run") {
  const part = replacer(byId("part"), `${location.pathname}?part`, 2000);
  listen(`/events?version=${version}&run=${encodeURIComponent(document.body.dataset.run)}`, part);
}
