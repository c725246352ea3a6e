// What the check of a file found, in words and tables.
import { el, number, plural } from "./dom.js";

const PROFILES = {
  assignment: "Simple catalogue", general: "Table", given: "Table, columns as you chose", list: "List of image URLs",
  woocommerce: "WooCommerce export", bigcommerce: "BigCommerce export", prestashop: "PrestaShop export",
  google: "Google Merchant feed", meta: "Meta catalogue", ebay: "eBay file", amazon: "Amazon flat file",
};
const HOSTS = 8;
const COLUMNS = 3;

// The first sentence: what can be done with the file. A problem of the whole file is said as it is.
export function headline(checked) {
  const rows = plural(checked.row_count, checked.layout?.profile === "assignment" ? "product" : "row");
  if (checked.valid) return `Ready: ${rows}, ${plural(checked.image_count, "image")} on ${plural(Object.keys(checked.hosts).length, "host")}.`;
  if (isWhole(checked)) return checked.errors[0].detail;
  const count = plural(checked.error_count, "problem");
  return checked.image_count ? `${count} found. The valid rows have ${plural(checked.image_count, "image")}.` : `${count} found; no row can be processed.`;
}

export const isWhole = (checked) => checked.error_count === 1 && checked.errors[0].row === null;

// How the file was understood, in one line.
export function understood({ layout }, filename) {
  const images = layout.columns.filter((column) => column.role === "images").map((column) => column.name || `column ${column.number}`);
  const more = images.length > COLUMNS ? ` and ${images.length - COLUMNS} more` : "";
  return [
    PROFILES[layout.profile] ?? `${layout.profile[0].toUpperCase()}${layout.profile.slice(1)} export`,
    layout.sheet && `sheet ${layout.sheet}`,
    layout.profile !== "list" && (images.length ? `images in ${images.slice(0, COLUMNS).join(", ")}${more}` : "no column of images yet"),
    images.length && result(layout, filename),
  ].filter(Boolean).join(" · ");
}

// Only these workbooks can be written; a sheet of another one comes back as CSV.
function result(layout, filename) {
  const what = layout.sheet && !/\.xls[xm]$/i.test(filename) ? "the sheet comes back as CSV" : "the same file comes back";
  return layout.output === "add" ? `${what} with a column of new URLs` : `${what} with the URLs replaced`;
}

export function hosts(checked) {
  const found = Object.entries(checked.hosts).sort((a, b) => b[1] - a[1]);
  if (!found.length) return "";
  return el("ul", { class: "hosts", "aria-label": "Image hosts" },
    ...found.slice(0, HOSTS).map(([host, count]) => el("li", {}, `${host} · ${number(count)}`)),
    found.length > HOSTS ? el("li", {}, `and ${found.length - HOSTS} more`) : null);
}

function table(names, rows, caption) {
  return el("table", { class: "list stack", role: "table" },
    el("caption", { class: "visually-hidden" }, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...names.map((name) => el("th", { role: "columnheader" }, name)))),
    el("tbody", { role: "rowgroup" }, ...rows.map((cells) => el("tr", { role: "row" }, ...cells))));
}

const cell = (attributes, ...children) => el("td", { role: "cell", ...attributes }, ...children);

export function preview(checked) {
  const rows = checked.preview.map((row) => [
    cell({}, row.serial_number), cell({ class: "break" }, row.product_name),
    cell({ class: "wide break small muted" }, `${row.input_image_urls.slice(0, 3).join(", ")}${row.input_image_urls.length > 3 ? ` and ${row.input_image_urls.length - 3} more` : ""}`),
  ]);
  const noun = checked.layout?.profile === "assignment" ? "product" : "row";
  const first = { assignment: "Serial", list: "Row" }[checked.layout?.profile] ?? "ID";
  return el("div", { class: "found" }, table([first, "Product", "Images"], rows, `The first ${noun}s`),
    checked.row_count > rows.length ? el("p", { class: "small muted" }, `… and ${plural(checked.row_count - rows.length, `more ${noun}`)}`) : null);
}

export function problems(checked) {
  const rows = checked.errors.map((problem) => [
    cell({ "data-label": "Line" }, problem.line ?? "–"), cell({}, problem.column ?? "–"),
    cell({ class: "break" }, el("code", {}, problem.value)), cell({ class: "wide" }, problem.detail),
    cell({ class: "wide muted" }, problem.hint),
  ]);
  const more = checked.error_count - rows.length;
  return el("div", {},
    el("div", { class: "limit", role: "region", tabindex: "0", "aria-label": "Problems in the file" },
      table(["Line", "Column", "Value", "Problem", "What to do"], rows, "What is wrong with the file")),
    more > 0 ? el("p", { class: "small muted" }, `… and ${plural(more, "more problem")}; the list to download has all of them.`) : null);
}
