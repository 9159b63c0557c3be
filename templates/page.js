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

  const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (table) => {
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

  // The values behind a picture: its pixels, which are lossless, on the scale that its figure gives.
  class Changed extends Error {}
  // Some browsers hand out changed pixels, so that nobody is recognised by them: every grey, drawn and read back.
  const honest = () => {
    const canvas = make("canvas");
    canvas.width = canvas.height = 64;
    const brush = canvas.getContext("2d");
    const drawn = brush.createImageData(64, 64);
    drawn.data.forEach((_, at) => { drawn.data[at] = at % 4 === 3 ? 255 : (at >> 2) % 256; });
    brush.putImageData(drawn, 0, 0);
    return brush.getImageData(0, 0, 64, 64).data.every((value, at) => value === drawn.data[at]);
  };
  const pixels = async (shown) => {
    const picture = shown.localName === "image" ? shown : document.querySelector(`${shown.getAttribute("href")} image`);
    const image = new Image();
    image.src = picture.getAttribute("href");
    await image.decode();
    const canvas = make("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const brush = canvas.getContext("2d");
    brush.drawImage(image, 0, 0);
    const data = brush.getImageData(0, 0, canvas.width, canvas.height).data;
    if (!honest()) throw new Changed();
    return (x, y, plane = 0) => data[4 * (y * canvas.width + x) + plane];
  };
  const exact = (grey, levels) => {
    if (grey !== Math.round(Math.round((grey * (levels - 1)) / 255) * (255 / (levels - 1)))) throw new Changed();
    return grey / 255;
  };
  const range = (count) => [...Array(count).keys()];
  const across = (width) => range(width).map((x) => `x${x}`);
  const list = (text) => (text[0] === "#" ? range(+text.slice(1)) : text.split(",").map(Number));
  const makers = {
    async maps(figure, name, [low, high, tile, gap, images, channels]) {
      const [[height, width], laid] = [list(tile), figure.querySelector(".veil")];
      const own = await pixels(figure.querySelector("image:not(.veil),.pixels:not(.veil)"));
      const veil = laid && (await pixels(laid));
      const value = (row, column, y, x) => {
        const share = exact(own(column * (width + +gap) + x, row * (height + +gap) + y), veil ? 16 : 32);
        const alpha = veil ? veil(column, row, 3) / 255 : 0;
        const common = alpha ? share * (1 - alpha) + (veil(column, row) / 255) * alpha : share;
        return low * (1 - common) + high * common;
      };
      const line = (row, column, y) => range(width).map((x) => value(row, column, y, x));
      const rows = list(images).flatMap((image, row) => list(channels).flatMap((channel, column) => range(height).map((y) => [name(image), channel, y, ...line(row, column, y)])));
      return [["image", "channel", "y", ...across(width)], ...rows];
    },
    async units(figure, name, [low, high, tile, gap, images, units]) {
      const [height, width] = list(tile);
      const own = await pixels(figure.querySelector("image,.pixels"));
      const value = (row, place) => {
        const share = exact(own(place % width, row * (height + +gap) + Math.floor(place / width)), 32);
        return low * (1 - share) + high * share;
      };
      const rows = list(images).flatMap((image, row) => list(units).map((unit, place) => [name(image), unit, value(row, place)]));
      return [["image", "unit", "value"], ...rows];
    },
    async kernels(figure, name, [limit, tile, gap, columns, count, inputs]) {
      const [height, width] = list(tile);
      const own = await pixels(figure.querySelector("image,.pixels"));
      const at = (one, y, x, plane) => own((one % columns) * (width + +gap) + x, Math.floor(one / columns) * (height + +gap) + y, plane);
      const planes = inputs === "1" ? ["grey"] : ["red", "green", "blue"];
      const value = (grey) => (grey ? ((grey - 128) / 127) * limit : ""); // 0 stands for NaN
      const line = (one, y, plane) => range(width).map((x) => value(at(one, y, x, plane)));
      const rows = range(+count).flatMap((one) => planes.flatMap((colour, plane) => range(height).map((y) => [one, colour, y, ...line(one, y, plane)])));
      return [["filter", "input", "y", ...across(width)], ...rows];
    },
    async norms(figure, name, [high, size]) {
      const [height, width] = list(size);
      const own = await pixels(figure.querySelector("image,.pixels"));
      return [["y", ...across(width)], ...range(height).map((y) => [y, ...range(width).map((x) => exact(own(x, y), 32) * high)])];
    },
  };
  const written = (cell) => (typeof cell === "string" ? quote(cell) : String(Number.isInteger(cell) ? cell : Number(cell.toPrecision(5))));
  for (const figure of document.querySelectorAll("figure[data-values]")) {
    const [kind, ...told] = figure.dataset.values.split(" ");
    const run = figure.closest("[data-run]");
    const caption = figure.querySelector("figcaption");
    const title = caption.querySelector("b")?.textContent ?? "first layer";
    const button = make("button", "Values (CSV)", "button");
    button.className = "tool";
    button.setAttribute("aria-label", `Values (CSV) of ${title}`);
    button.addEventListener("click", async () => {
      const files = JSON.parse(run.querySelector("[data-files]").dataset.files);
      try {
        const rows = await makers[kind](figure, (place) => files[place] ?? String(place), told);
        const link = make("a");
        link.download = `${`${run.dataset.run}-${kind}-${title}`.replace(/[^\w.]+/g, "-")}.csv`;
        link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(rows.map((row) => row.map(written).join(",")).join("\n"))}%0A`;
        link.click();
      } catch (error) {
        if (!(error instanceof Changed)) throw error;
        button.replaceWith("This browser does not hand out the pixels of pictures unchanged; featreport export writes the values.");
      }
    });
    caption.append(" ", button);
  }

  // What has the focus is not left under the first column, which stays where it is.
  addEventListener("focusin", ({ target }) => {
    const [box, first] = [target.closest(".scroll"), target.closest("tr")?.cells[0]];
    if (!box || !first || first.contains(target)) return;
    const hidden = first.getBoundingClientRect().right - target.getBoundingClientRect().left;
    if (hidden > 0) box.scrollLeft -= hidden + 8;
  });

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
