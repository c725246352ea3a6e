// The result page: before and after on each image. The server downloads the original again.
import { reason } from "./dom.js";

const part = (id) => document.getElementById(id);
const dialog = part("compare");
const view = part("view");
const buttons = Array.from(document.querySelectorAll("button[data-compare]"));
let shown = -1;

function open(place) {
  shown = place;
  const { title, sizes, result, compare } = buttons[place].dataset;
  part("compare-title").textContent = title;
  part("compare-sizes").textContent = sizes;
  part("compare-said").textContent = "Downloading the original …";
  view.dataset.state = "waiting";
  part("compare-result").src = result;
  part("compare-source").src = compare;
  part("compare-previous").disabled = place === 0;
  part("compare-next").disabled = place === buttons.length - 1;
  split(50);
  if (!dialog.open) dialog.showModal();
  part("split").focus();
}

function split(percent) {
  const value = Math.min(100, Math.max(0, percent));
  part("split").value = value;
  view.style.setProperty("--split", value);
}

function loaded() {
  view.dataset.state = "both";
  part("compare-said").textContent = "Left of the line: the original. Right: the hosted image. Move the line with the mouse, a finger or the arrow keys.";
}

async function failed() {
  const place = shown;
  view.dataset.state = "gone";
  const sentence = await whyNot(buttons[place].dataset.compare);
  if (place === shown) part("compare-said").textContent = sentence;
}

async function whyNot(address) {
  try {
    const response = await fetch(address);
    if (!response.ok) return `${await reason(response)} Only the result is shown.`;
    return `Your browser cannot show the original (${response.headers.get("Content-Type")}). Only the result is shown.`;
  } catch {
    return "The original cannot be downloaded at the moment. Only the result is shown.";
  }
}

function drag(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  if (event.type === "pointerdown") view.setPointerCapture(event.pointerId);
  const box = view.getBoundingClientRect();
  split((100 * (event.clientX - box.left)) / box.width);
}

buttons.forEach((button, place) => button.addEventListener("click", () => open(place)));
part("split").addEventListener("input", (event) => split(Number(event.target.value)));
part("compare-source").addEventListener("load", loaded);
part("compare-source").addEventListener("error", failed);
part("compare-previous").addEventListener("click", () => open(shown - 1));
part("compare-next").addEventListener("click", () => open(shown + 1));
part("compare-close").addEventListener("click", () => dialog.close());
view.addEventListener("pointerdown", drag);
view.addEventListener("pointermove", drag);
dialog.addEventListener("close", () => { part("compare-source").removeAttribute("src"); buttons[shown]?.focus(); });

// After watching the job on its page, screen readers read the result.
if (sessionStorage.getItem("finished") === location.pathname.split("/").at(-1)) {
  sessionStorage.removeItem("finished");
  part("verdict").focus();
}
