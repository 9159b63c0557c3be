"use strict";
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value;
    if (raw === undefined) return cell.textContent.trim().toLowerCase();
    return raw === "" ? null : Number(raw);
  };
  const make = (tag, text, type) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (type) element.type = type;
    return element;
  };
  const compare = (a, b) => (typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b), "en", { numeric: true }) : a - b);

  const sortable = (table) => {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!original.some((row) => row.cells[column].textContent.trim() && !row.cells[column].querySelector(".hist"))) return;
      const button = make("button", head.textContent, "button");
      head.textContent = "";
      head.append(button);
      button.addEventListener("click", () => {
        const numeric = original.some((row) => row.cells[column].dataset.value);
        const order = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
        const next = order[(order.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        const rows = [...original];
        if (next) {
          head.setAttribute("aria-sort", next);
          const sign = next === "ascending" ? 1 : -1;
          rows.sort((a, b) => {
            const [x, y] = [value(a, column), value(b, column)];
            if (x === null || y === null) return (x === null) - (y === null);
            return sign * compare(x, y);
          });
        }
        body.append(...rows);
      });
    });
  };

  const csv = (table) => {
    const quote = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const words = (cell) => {
      const raw = cell.querySelector(".hist") ? "" : cell.dataset.value;
      return quote(raw === undefined ? cell.innerText.replace(/\s+/g, " ").trim() : raw);
    };
    const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    const heads = [...table.tHead.rows[0].cells].map((cell) => quote(cell.textContent.trim()));
    return [heads.join(","), ...rows.map((row) => [...row.cells].map(words).join(","))].join("\n") + "\n";
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };

  const tools = (table, wanted) => {
    const bar = make("div");
    bar.className = "tools";
    const search = make("input", "", "search");
    search.placeholder = "Filter rows";
    search.setAttribute("aria-label", "Filter rows by text");
    const only = make("input", "", "checkbox");
    const count = make("span");
    count.className = "muted";
    count.setAttribute("role", "status");
    const rows = [...table.tBodies[0].rows];
    const update = () => {
      const needle = search.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = (only.checked && !("flagged" in row.dataset)) || !row.textContent.toLowerCase().includes(needle);
        shown += !row.hidden;
      }
      count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
    };
    if (wanted.includes("filter") && rows.length > 4) {
      bar.append(search);
      search.addEventListener("input", update);
    }
    if (wanted.includes("flagged") && rows.some((row) => "flagged" in row.dataset)) {
      const label = make("label");
      label.append(only, "only flagged");
      only.addEventListener("change", update);
      bar.append(label);
    }
    if (wanted.includes("csv")) {
      const button = make("button", "Copy as CSV", "button");
      button.addEventListener("click", async () => {
        await copy(csv(table));
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy as CSV"; }, 1500);
      });
      bar.append(button);
    }
    bar.append(count);
    if (bar.children.length > 1) table.closest(".scroll").before(bar);
  };

  for (const table of document.querySelectorAll("table[data-tools]")) {
    const wanted = table.dataset.tools.split(" ");
    if (wanted.includes("sort") && table.tBodies[0].rows.length > 1) sortable(table);
    if (wanted.length > 1 || wanted[0] !== "sort") tools(table, wanted);
  }

  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    target.querySelector(":scope > details.fold")?.setAttribute("open", "");
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    target.hidden = false;
    target.scrollIntoView({ block: target.tagName === "TR" ? "center" : "start" });
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const box of closed) box.open = true;
  });
  addEventListener("afterprint", () => {
    for (const box of closed) box.open = false;
  });
})();
