// What a page can't do without a script; everything else works without one.

// Times are shown in the zone of whoever reads them.
const tellTimes = () => {
  for (const time of document.querySelectorAll("time[datetime]:not([title])")) {
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString("sv").slice(0, 16);
  }
};
tellTimes();

// A run that is going on is shown as it is now: what has changed is put in place of what was there.
const refreshed = document.querySelector("[data-refresh]");
if (refreshed) {
  const again = async () => {
    const busy = document.activeElement?.closest("form, details, .graph-box") || document.hidden;
    if (!busy) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
        if (answer.ok) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          const active = document.activeElement?.getAttribute("href");
          document.querySelector("main").replaceWith(page.querySelector("main"));
          tellTimes();
          if (active) document.querySelector(`main [href="${CSS.escape(active)}"]`)?.focus();
          if (!page.querySelector("[data-refresh]")) return;
        }
      } catch {
        // the server is away: it is asked again
      }
    }
    setTimeout(again, 1000 * Number(refreshed.dataset.refresh || 5));
  };
  setTimeout(again, 1000 * Number(refreshed.dataset.refresh || 5));
}

// Inside of Airflow's UI a page is a frame that may not lead its window elsewhere. Links to Airflow's own pages change
// the address as a click in Airflow does, so that it goes there without loading again.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-airflow]");
  if (!link || parent === window || event.ctrlKey || event.metaKey || event.shiftKey) return;
  try {
    parent.history.pushState({}, "", link.href);
    parent.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
    event.preventDefault();
  } catch {
    // not Airflow's window: the link is followed as any other
  }
});

// Keys: j and k (or the arrows) go along the rows of a list, / goes to the filter.
const rows = () => [...document.querySelectorAll("main tbody a.main")];
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, [contenteditable], pre, .wide[tabindex]")) return;
  const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
  const links = rows();
  if (step && links.length) {
    const at = links.indexOf(document.activeElement);
    if (at < 0 && event.key.startsWith("Arrow")) return; // it scrolls, as ever
    links[Math.min(Math.max(at + step, 0), links.length - 1)].focus();
    event.preventDefault();
  } else if (event.key === "/") {
    const field = document.querySelector("form.filters input, form.filters select");
    if (field) {
      field.focus();
      event.preventDefault();
    }
  }
});
