// The upload page: the file is checked first, what was read is shown, then it is sent. Without this script the
// form does the same in one step.
import { el, number, plural, reason } from "./dom.js";

const form = document.getElementById("upload");
const part = (id) => document.getElementById(id);
const file = part("file");
const skip = part("skip");
let checked = null; // what the last check said
let check = 0; // counts checks, so that the response to an older one is ignored
let key = "";

// ---- the file ----

function fileChosen() {
  check += 1;
  checked = null;
  key = newKey();
  const chosen = file.files[0];
  part("refused").replaceChildren();
  part("refusal")?.remove();
  part("findings").replaceChildren();
  part("list").hidden = true;
  part("drop").classList.toggle("filled", Boolean(chosen));
  part("name").hidden = !chosen;
  part("name").textContent = chosen ? chosen.name : "";
  part("choose").textContent = chosen ? "Choose another file" : "Choose a CSV file";
  part("choose").classList.toggle("btn-primary", !chosen);
  part("choose").classList.toggle("btn-lg", !chosen);
  part("send").hidden = !chosen;
  part("send").disabled = true;
  part("send").textContent = "Checking …";
  if (chosen) checkFile(chosen, check);
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function body(chosen) {
  const data = new FormData();
  data.append("file", chosen, chosen.name);
  return data;
}

async function checkFile(chosen, mine) {
  part("check").replaceChildren(el("p", { class: "muted" }, "Checking the file …"));
  try {
    const response = await fetch(`${form.dataset.api}?dry_run=true`, {
      method: "POST", body: body(chosen), headers: { Accept: "application/json" },
    });
    if (mine !== check) return;
    if (!response.ok) return refuse(await reason(response));
    checked = await response.json();
    show();
  } catch {
    if (mine === check) refuse("The server cannot be reached, or the file changed on your disk. Choose it again.");
  }
}

function refuse(sentence) {
  part("check").replaceChildren();
  part("findings").replaceChildren();
  part("refused").replaceChildren(el("p", { class: "note bad" }, sentence));
  ready();
}

// ---- the result of the check ----

function show() {
  const good = checked.valid ? "good" : "bad";
  part("check").replaceChildren(el("p", { class: `understood ${good}-text` }, headline()));
  const hosts = Object.entries(checked.hosts).sort((a, b) => b[1] - a[1]);
  part("findings").replaceChildren(
    ...checked.warnings.map((warning) => el("p", { class: "note warn" }, warning)),
    checked.error_count ? problems() : "",
    checked.valid ? preview() : "",
    hosts.length ? el("ul", { class: "hosts", "aria-label": "Image hosts" }, ...hosts.slice(0, 8).map(([host, count]) => el("li", {}, `${host} · ${number(count)}`)), hosts.length > 8 ? el("li", {}, `and ${hosts.length - 8} more`) : null) : "",
  );
  part("list").hidden = !checked.error_count;
  ready();
}

function headline() {
  const found = `${plural(checked.row_count, "product")}, ${plural(checked.image_count, "image")} on ${plural(Object.keys(checked.hosts).length, "host")}`;
  if (checked.valid) return `Ready: ${found}.`;
  const count = plural(checked.error_count, "problem");
  return checked.image_count ? `${count} found. The valid rows have ${plural(checked.image_count, "image")}.` : `${count} found; no row can be processed.`;
}

function table(names, rows, caption) {
  return el("table", { class: "list stack", role: "table" },
    el("caption", { class: "visually-hidden" }, caption),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...names.map((name) => el("th", { role: "columnheader" }, name)))),
    el("tbody", { role: "rowgroup" }, ...rows.map((cells) => el("tr", { role: "row" }, ...cells))));
}

const cell = (attributes, ...children) => el("td", { role: "cell", ...attributes }, ...children);

function preview() {
  const rows = checked.preview.map((row) => [
    cell({}, row.serial_number), cell({ class: "break" }, row.product_name),
    cell({ class: "wide break small muted" }, `${row.input_image_urls.slice(0, 3).join(", ")}${row.input_image_urls.length > 3 ? ` and ${row.input_image_urls.length - 3} more` : ""}`),
  ]);
  return el("div", { class: "found" }, table(["Serial", "Product", "Images"], rows, "The first products"),
    checked.row_count > rows.length ? el("p", { class: "small muted" }, `… and ${plural(checked.row_count - rows.length, "more product")}`) : null);
}

function problems() {
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

// ---- sending ----

function ready() {
  const send = part("send");
  const some = checked && checked.image_count;
  send.disabled = !some;
  send.hidden = !some;
  if (!some) return;
  send.textContent = checked.valid ? `Compress ${plural(checked.image_count, "image")}` : `Upload the valid rows (${plural(checked.image_count, "image")})`;
}

async function send(event) {
  event.preventDefault();
  const chosen = file.files[0];
  if (!chosen || !checked || part("send").disabled) return file.focus();
  const button = part("send");
  button.disabled = true;
  button.textContent = "Uploading …";
  const data = body(chosen);
  for (const name of ["quality", "max_dimension", "format", "webhook_url"]) data.append(name, part(name).value);
  data.append("on_invalid", skip.checked || !checked.valid ? "skip" : "reject");
  try {
    const response = await fetch(form.dataset.api, { method: "POST", body: data, headers: { "Idempotency-Key": key } });
    if (response.ok) return location.assign(form.dataset.pages + (await response.json()).request_id);
    refuseToSend(await reason(response));
  } catch {
    refuseToSend("The server cannot be reached. Press the button again in a moment; nothing is uploaded twice.");
  }
}

function refuseToSend(sentence) {
  part("refused").replaceChildren(el("p", { class: "note bad" }, sentence));
  ready();
}

async function downloadList() {
  const response = await fetch(`${form.dataset.api}?dry_run=true`, { method: "POST", body: body(file.files[0]), headers: { Accept: "text/csv" } });
  if (!response.ok) return refuseToSend(await reason(response));
  const address = URL.createObjectURL(await response.blob());
  el("a", { href: address, download: `${file.files[0].name.replace(/\.\w+$/, "")}-problems.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// ---- dropping, options ----

function dropped(event) {
  event.preventDefault();
  over(false);
  if (!event.dataTransfer.files.length) return;
  file.files = event.dataTransfer.files;
  fileChosen();
}

async function useSample() {
  const response = await fetch("/sample.csv");
  const transfer = new DataTransfer();
  transfer.items.add(new File([await response.blob()], "sample.csv", { type: "text/csv" }));
  file.files = transfer.files;
  fileChosen();
}

const over = (is) => part("drop").classList.toggle("over", is);

function liveQuality() {
  const quality = part("quality");
  const value = Math.min(95, Math.max(1, Number(quality.value) || 50));
  const words = value < 30 ? "very small files, visible loss" : value < 45 ? "small files" : value < 65 ? "small files, looks the same in a shop" : value < 85 ? "larger files, for close looks" : "nearly the original";
  part("quality-label").textContent = `${value}, ${words}`;
}

file.addEventListener("change", fileChosen);
// The whole window takes a file: one that misses the zone would replace the page.
addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
addEventListener("drop", dropped);
form.addEventListener("submit", send);
form.addEventListener("change", (event) => { if (event.target !== file) key = newKey(); });
part("sample").addEventListener("click", useSample);
part("list").addEventListener("click", downloadList);
part("use-inbox").addEventListener("click", (event) => { part("webhook_url").value = event.target.dataset.address; });
part("quality").type = "range";
part("quality").className = "";
part("quality").addEventListener("input", liveQuality);
liveQuality();
part("check").after(part("actions"), part("refused")); // below the first sentence: no need to scroll past a long table
part("send").hidden = true;
if (file.files.length) fileChosen(); // the browser kept the choice over a reload
