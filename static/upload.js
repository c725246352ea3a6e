// The upload page: the file is checked first, what was read is shown, then it is sent. Without this script the
// form does the same in one step.
import * as columns from "./columns.js";
import { el, plural, reason } from "./dom.js";
import { headline, hosts, isWhole, preview, problems, understood } from "./findings.js";

const form = document.getElementById("upload");
const part = (id) => document.getElementById(id);
const file = part("file");
const skip = part("skip");
const OF_FILE = ["image_base_url", "sheet", "output", "failed", "format"]; // the options that change what a check finds
const IN_WORDS = { replace: "replace the old URLs", add: "add a column", keep: "keep its old URL", empty: "leave its place empty" };
let checked = null; // what the last check said
let check = 0; // counts checks, so that the response to an older one is ignored
let key = "";

// ---- the file ----

function fileChosen() {
  const chosen = file.files[0];
  part("refusal")?.remove();
  part("findings").replaceChildren();
  part("check").replaceChildren(chosen ? el("p", { class: "muted" }, "Checking the file …") : "");
  part("sheet").value = part("sheet").placeholder = "";
  part("sheet-field").hidden = !/\.(xls[xmb]?|ods)$/i.test(chosen?.name ?? "");
  columns.forget();
  part("drop").classList.toggle("filled", Boolean(chosen));
  part("name").hidden = !chosen;
  part("name").textContent = chosen ? chosen.name : "";
  part("choose").textContent = chosen ? "Choose another file" : "Choose a file";
  part("choose").classList.toggle("btn-primary", !chosen);
  part("choose").classList.toggle("btn-lg", !chosen);
  checkAgain();
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function body(chosen) {
  const data = new FormData();
  data.append("file", chosen, chosen.name);
  for (const name of OF_FILE) data.append(name, part(name).value);
  for (const [name, column] of columns.fields()) data.append(name, column);
  return data;
}

function checkAgain() {
  const chosen = file.files[0];
  check += 1;
  checked = null;
  key = newKey();
  part("refused").replaceChildren();
  part("list").hidden = true;
  part("send").hidden = !chosen;
  part("send").disabled = true;
  part("send").textContent = "Checking …";
  if (chosen) checkFile(chosen, check);
}

async function checkFile(chosen, mine) {
  try {
    const response = await fetch(`${form.dataset.api}?dry_run=true`, {
      method: "POST", body: body(chosen), headers: { Accept: "application/json" },
    });
    if (mine !== check) return;
    if (!response.ok) return refuse(await reason(response));
    const answer = await response.json();
    if (mine !== check) return;
    if (columns.show(answer)) return checkAgain();
    checked = answer;
    show(chosen.name);
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

function show(filename) {
  const whole = isWhole(checked) && checked.errors[0];
  const isQuestion = whole && whole.code === "no_image_column"; // its answer is a choice in the table of columns
  part("check").replaceChildren(
    el("p", { class: `understood ${checked.valid ? "good-text" : isQuestion ? "" : "bad-text"}` }, headline(checked)),
    checked.layout ? el("p", { class: "layout" }, understood(checked, filename)) : "",
    whole && !isQuestion ? el("p", {}, whole.hint) : "");
  part("findings").replaceChildren(
    ...(isQuestion ? [] : checked.warnings).map((warning) => el("p", { class: "note warn" }, warning)),
    checked.error_count && !whole ? problems(checked) : "",
    checked.valid ? preview(checked) : "",
    hosts(checked));
  part("list").hidden = !checked.error_count || Boolean(whole);
  showOptions();
  ready();
}

// What “Automatic” is for this file; and the options that its problems are about.
function showOptions() {
  for (const name of ["output", "failed"]) {
    const word = IN_WORDS[part(name).value || !checked.layout ? "" : checked.layout[name]];
    part(name).options[0].text = word ? `Automatic: ${word}` : "Automatic";
  }
  part("sheet").placeholder = checked.layout?.sheet ?? part("sheet").placeholder;
  const relative = checked.layout?.profile !== "assignment" && checked.errors.some(columns.isRelative);
  if (relative || checked.errors.some((problem) => problem.code === "unknown_sheet")) part("options").open = true;
  if (relative) part("findings").prepend(aboutPaths());
}

function aboutPaths() {
  const button = el("button", { class: "btn btn-sm", type: "button" }, "Enter the base URL");
  button.addEventListener("click", () => part("image_base_url").focus());
  return el("p", { class: "note" }, "If the images are paths below one URL, such as https://shop.example/media/, enter it as the base URL of relative paths. ", button);
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
  if (!chosen) return file.focus();
  if (!checked || part("send").disabled) return;
  const button = part("send");
  button.disabled = true;
  button.textContent = "Uploading …";
  const data = body(chosen);
  for (const name of ["quality", "max_dimension", "webhook_url"]) data.append(name, part(name).value);
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

// ---- dropping, samples, pasting ----

function dropped(event) {
  event.preventDefault();
  over(false);
  if (!event.dataTransfer.files.length) return;
  file.files = event.dataTransfer.files;
  fileChosen();
}

function use(content, name, type) {
  const transfer = new DataTransfer();
  transfer.items.add(new File([content], name, { type }));
  file.files = transfer.files;
  fileChosen();
}

async function useSample(event) {
  const address = event.currentTarget.dataset.sample;
  const response = await fetch(address);
  if (!response.ok) return refuseToSend(await reason(response));
  const content = await response.blob();
  use(content, address.split("/").at(-1), content.type);
}

function usePasted() {
  const urls = part("urls");
  const lines = urls.value.split("\n").map((line) => line.trim());
  const wrong = lines.findIndex((line) => line && !/^https?:\/\//.test(line));
  part("urls-error").textContent = wrong < 0 ? "" : `Line ${wrong + 1}, “${lines[wrong].slice(0, 100)}”, is not a URL. Each line must start with https:// or http://.`;
  urls.ariaInvalid = String(wrong >= 0);
  if (wrong >= 0 || !urls.value.trim()) return urls.focus();
  use(`${urls.value.trim()}\n`, "urls.txt", "text/plain");
}

const over = (is) => part("drop").classList.toggle("over", is);

// ---- options ----

function columnsChanged(hasImages) {
  if (hasImages) return checkAgain();
  check += 1;
  checked = null;
  refuse("No column is used for the images. Choose “Images” for one.");
}

function changed(event) {
  if (event.target === file) return;
  key = newKey();
  if (OF_FILE.includes(event.target.id) && file.files.length) checkAgain();
}

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
form.addEventListener("change", changed);
columns.onChange(columnsChanged);
for (const button of document.querySelectorAll("[data-sample]")) button.addEventListener("click", useSample);
part("use-urls").addEventListener("click", usePasted);
part("list").addEventListener("click", downloadList);
part("use-inbox").addEventListener("click", (event) => { part("webhook_url").value = event.target.dataset.address; });
part("quality").type = "range";
part("quality").className = "";
part("quality").addEventListener("input", liveQuality);
liveQuality();
part("mapping").after(part("actions"), part("refused")); // below the first sentences: no need to scroll past a long table
part("sheet-field").hidden = true;
part("send").hidden = true;
if (file.files.length) fileChosen(); // the browser kept the choice over a reload
