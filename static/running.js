// The page of a running job: polls the status (304 while it does not change) and shows it.
import { duration, el, number, plural } from "./dom.js";

const VISIBLE = 1000;
const HIDDEN = 10_000;
const SPOKEN_EVERY = 5000; // a screen reader reads each text to its end
const MOST_THUMBNAILS = 24;

const part = (id) => document.getElementById(id);
const running = part("running");
const seen = new Set(Array.from(document.querySelectorAll("[data-image]"), (item) => Number(item.dataset.image)));
const name = document.title.split(" – ").slice(1).join(" – ");
let tag = "";
let timer = 0;
let polling = false;
let lastSpoken = 0;
let newest = 0;

async function poll() {
  if (polling) return;
  polling = true;
  clearTimeout(timer);
  try {
    const response = await fetch(running.dataset.status, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
    if (response.status === 404) return location.reload(); // deleted: the server's page says so
    if (response.status === 200) {
      tag = response.headers.get("ETag") ?? "";
      await show(await response.json());
    } else if (response.status !== 304) {
      throw new Error(response.status);
    }
    part("lost").hidden = true;
  } catch {
    part("lost").textContent = "The server does not respond at the moment. This page keeps trying; your job is safe.";
    part("lost").hidden = false;
  } finally {
    polling = false;
    timer = setTimeout(poll, document.hidden ? HIDDEN : VISIBLE);
  }
}

async function show(status) {
  if (status.done) {
    sessionStorage.setItem("finished", status.request_id); // the result page moves the focus to its sentence
    return location.reload();
  }
  const { counts, progress } = status;
  const percent = Math.floor(progress.percent);
  part("bar").value = progress.percent;
  part("percent").textContent = `${percent}%`;
  part("message").textContent = status.message;
  part("done").textContent = `${number(counts.succeeded + counts.failed)} of ${number(counts.total)}`;
  part("failed").textContent = number(counts.failed);
  part("pace").textContent = progress.images_per_second ?? "–";
  part("left").textContent = progress.eta_seconds === null ? "–" : `about ${duration(progress.eta_seconds)}`;
  part("state").firstElementChild.textContent = status.status;
  document.title = `${percent}% – ${name}`;
  drawIcon(progress.percent);
  speak(`${status.message} ${percent}%${counts.failed ? `, ${plural(counts.failed, "failure")}` : ""}.`);
  await showThumbnails(status);
}

function speak(text) {
  if (performance.now() - lastSpoken < SPOKEN_EVERY && lastSpoken) return;
  lastSpoken = performance.now();
  part("spoken").textContent = text;
}

// ---- the icon: a bar that fills ----

function drawIcon(percent) {
  const filled = (20 * percent) / 100;
  const image = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5c5c"/><rect x="6" y="6" width="20" height="20" rx="3" fill="#fff" fill-opacity=".25"/><rect x="6" y="${26 - filled}" width="20" height="${filled}" rx="3" fill="#ffd166"/></svg>`;
  document.querySelector("link[rel=icon]").href = `data:image/svg+xml,${encodeURIComponent(image)}`;
}

// ---- the images that are done ----

async function showThumbnails(status) {
  const done = [];
  for (const product of status.products) {
    for (const image of product.images) {
      if (image.output_url && !seen.has(image.id)) done.push({ image, label: product.product_name });
    }
  }
  // The status holds the first products only; beyond them, the list of images continues.
  if (!done.length && status.products_truncated && status.counts.succeeded > seen.size) done.push(...await furtherImages());
  for (const one of done) seen.add(one.image.id);
  const fresh = part("fresh");
  fresh.prepend(...done.slice(-MOST_THUMBNAILS).reverse().map(thumbnail));
  while (fresh.children.length > MOST_THUMBNAILS) fresh.lastElementChild.remove();
  if (fresh.children.length) part("none-yet").hidden = true;
}

async function furtherImages() {
  const after = Math.max(newest, ...seen, 0);
  const response = await fetch(`${running.dataset.status}/images?status=Completed&limit=${MOST_THUMBNAILS}&cursor=${after}`);
  if (!response.ok) return [];
  const { images } = await response.json();
  if (images.length) newest = images.at(-1).id;
  return images.map((image) => ({ image, label: image.product_name }));
}

function thumbnail({ image, label }) {
  const address = `${running.dataset.thumbnails}${image.output_url.split("/").at(-1)}?v=${image.bytes_out}`;
  return el("li", {}, el("img", { class: "thumb", src: address, alt: label, width: 64, height: 64, decoding: "async" }));
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
drawIcon(part("bar").value);
poll();
