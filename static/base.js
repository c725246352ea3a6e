// Every page: tell the style sheet that scripts run, show times in the visitor's own zone, let buttons copy a text.
document.documentElement.classList.add("js");

function localTimes() {
  const style = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.title = time.textContent;
    time.textContent = style.format(new Date(time.dateTime));
  }
}

// The clipboard API is only there on https and loopback; a server on the local network gets the older way.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

function copyButtons() {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      try {
        await copy(button.dataset.copy === "page" ? location.href : button.dataset.copy);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed by the browser";
      }
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  }
}

// A page that waits for something looks again after some seconds, unless somebody is reading details on it.
function reload() {
  const waiting = document.querySelector("[data-reload]");
  if (waiting) setTimeout(() => { if (!document.querySelector("details[open]")) location.reload(); }, 1000 * waiting.dataset.reload);
}

addEventListener("DOMContentLoaded", () => { localTimes(); copyButtons(); reload(); });
