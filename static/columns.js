// What the columns of the checked file are used for: a table of selects, remembered for files with the same header.
import { el } from "./dom.js";

const OF_COLUMNS = ["no_image_column", "unknown_column", "ambiguous_column", "no_url"];
const ROLES = [["", "Leave"], ["images", "Images"], ["name", "Name"], ["id", "ID"]];

const area = document.getElementById("mapping");
let columns = []; // of the layout that is shown
let chosen = null; // the role of each column by number, once somebody chose one
let changed = () => {};

export const called = (column) => column.name || `Column ${column.number}`;

// `then` is called after every choice, with whether there is a column of images.
export function onChange(then) {
  changed = then;
}

// Another file was chosen.
export function forget() {
  columns = [];
  chosen = null;
  area.replaceChildren();
}

// The options that the columns are sent as.
export function fields() {
  if (!chosen) return [];
  const used = columns.filter((column) => chosen[column.number]);
  const options = { images: "images_column", name: "name_column", id: "id_column" };
  return used.map((column) => [options[chosen[column.number]], key(column)]);
}

// Only a name that occurs once identifies a column, and a form sends line ends in another way.
function key(column) {
  const same = columns.filter((other) => other.name === column.name).length;
  return column.name && same === 1 && column.name.length <= 1000 && !/[\r\n]/.test(column.name) ? column.name : String(column.number);
}

// Show the columns of a check. True when a remembered choice differs: then the file is to be checked again with it.
export function show(checked) {
  const { layout } = checked;
  if (!layout) return false; // an option does not fit the file; the columns of the check before stay
  if (["assignment", "list"].includes(layout.profile)) {
    forget();
    return false;
  }
  const isNew = JSON.stringify(layout.columns.map(({ name }) => name)) !== JSON.stringify(columns.map(({ name }) => name));
  columns = layout.columns;
  if (isNew) {
    chosen = remembered();
    draw();
  }
  const isRemembered = isNew && chosen && columns.some((column) => (column.role ?? "") !== (chosen[column.number] ?? ""));
  for (const column of columns) mark(column.number, (isRemembered ? chosen[column.number] : column.role) ?? "");
  if (!isRemembered) tell(checked);
  return isRemembered;
}

// ---- the table ----

function draw() {
  const rows = columns.map((column) => el("tr", { role: "row" },
    el("th", { role: "rowheader" }, called(column)),
    el("td", { role: "cell", class: "example", title: column.example }, column.example),
    el("td", { role: "cell", class: "use" }, select(column))));
  area.replaceChildren(el("details", { class: "mapping mb-3", id: "columns" },
    el("summary", {}, "How the columns are used"),
    el("p", { id: "columns-said" }),
    el("div", { class: "limit" },
      el("table", { class: "list stack", role: "table" },
        el("caption", { class: "visually-hidden" }, "The columns of the file"),
        el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...["Column", "Example", "Use as"].map((name) => el("th", { role: "columnheader" }, name)))),
        el("tbody", { role: "rowgroup" }, ...rows))),
    el("p", { class: "small muted mb-0", id: "columns-remembered", hidden: true }, "Your choice is remembered in this browser for files with these columns. ", forgetButton())));
}

function select(column) {
  const list = el("select", { class: "form-select form-select-sm", id: `use-${column.number}`, "aria-label": `Use ${called(column)} as` },
    ...ROLES.map(([role, label]) => el("option", { value: role }, label)));
  list.addEventListener("change", () => choose(column.number, list.value));
  return list;
}

function forgetButton() {
  const button = el("button", { class: "btn btn-quiet btn-sm", type: "button" }, "Forget it");
  button.addEventListener("click", () => {
    chosen = null;
    store(null);
    area.querySelector("summary").focus();
    changed(true);
  });
  return button;
}

// Show the role of a column. Name and id are recognised when none is given, so they are not to be left, but moved.
function mark(number, role) {
  const list = document.getElementById(`use-${number}`);
  list.value = role;
  list.options[0].hidden = list.options[0].disabled = ["name", "id"].includes(role);
}

function tell(checked) {
  const images = columns.filter((column) => column.role === "images");
  const suggested = !images.length && columns.find((column) => column.name === checked.suggested_images_column);
  const byValues = images.find((column) => column.how === "values");
  const said = document.getElementById("columns-said");
  if (suggested) said.replaceChildren(suggestion(suggested));
  else if (!images.length) said.replaceChildren("Choose “Images” for the column that holds the URLs of the images.");
  else if (byValues) said.replaceChildren(`“${called(byValues)}” is used because its values look like images. Change it if that is wrong.`);
  else said.replaceChildren("Change what a column is used for, and the file is checked again.");
  document.getElementById("columns-remembered").hidden = !chosen;
  if (!images.length || byValues || checked.errors.some(isAboutColumns)) document.getElementById("columns").open = true;
}

function suggestion(column) {
  const button = el("button", { class: "btn btn-primary", type: "button" }, `Use “${called(column)}” for the images`);
  button.addEventListener("click", () => {
    document.getElementById(`use-${column.number}`).focus();
    choose(column.number, "images");
  });
  return button;
}

export const isRelative = (problem) => problem.code === "invalid_url" && !problem.value.includes("://");
const isAboutColumns = (problem) => OF_COLUMNS.includes(problem.code) || isRelative(problem);

// ---- a choice ----

function choose(number, role) {
  chosen = Object.fromEntries(columns.map((column) => [column.number, document.getElementById(`use-${column.number}`).value]));
  // There is one name and one id at most.
  if (["name", "id"].includes(role)) for (const other in chosen) if (chosen[other] === role) chosen[other] = "";
  chosen[number] = role;
  store(chosen);
  changed(Object.values(chosen).includes("images"));
}

// A browser may refuse to store anything.
const place = () => `skulight columns ${columns.map(({ name }) => name).join("\n")}`;

function store(choice) {
  try {
    if (choice) localStorage.setItem(place(), JSON.stringify(choice));
    else localStorage.removeItem(place());
  } catch { /* the choice counts for this file only */ }
}

function remembered() {
  try {
    const choice = JSON.parse(localStorage.getItem(place()));
    return choice && typeof choice === "object" ? choice : null;
  } catch {
    return null;
  }
}
