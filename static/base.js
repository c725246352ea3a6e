// Every page: mark that scripts run, show times in the local time zone, copy buttons.
document.documentElement.classList.add("js");

function localTimes() {
  const style = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.title = time.textContent;
    time.textContent = style.format(new Date(time.dateTime));
  }
}

// The clipboard API exists only on https and loopback; elsewhere the older way is used.
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

// A page that waits for something reloads after some seconds, unless details are open.
function reload() {
  const waiting = document.querySelector("[data-reload]");
  if (waiting) setTimeout(() => { if (!document.querySelector("details[open]")) location.reload(); }, 1000 * waiting.dataset.reload);
}

addEventListener("DOMContentLoaded", () => { localTimes(); copyButtons(); reload(); });
