"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const ranking = data.ranking;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;

  // ---- copying ----

  const said = document.getElementById("said");
  let hiding = 0;

  function say(text) {
    said.textContent = text;
    said.classList.add("shown");
    clearTimeout(hiding);
    hiding = setTimeout(() => said.classList.remove("shown"), 1800);
  }

  // Browsers without a clipboard for local files still have the older command.
  function copySelected(text) {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }

  async function copy(text) {
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      done = copySelected(text);
    }
    say(done ? "copied " + (text.length > 60 ? text.slice(0, 57) + "..." : text) : "this browser does not let a page copy");
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button.dataset.copy);
  });

  // ---- the ranking ----

  function drawRanking() {
    const CHUNK = 100;
    const box = document.getElementById("box");
    const [head, body] = [box.querySelector("thead"), box.querySelector("tbody")];
    const filter = document.getElementById("filter");
    const words = ranking.cells.map((cells, row) =>
      [...cells, ranking.notations[row], ranking.reasons[row] || ""].join(" ").toLowerCase());
    let order = ranking.cells.map((_, row) => row);
    let shown = order;
    let sorted = { column: 0, falling: false };
    let drawn = 0;

    function cell(text, side) {
      const td = document.createElement("td");
      td.className = side;
      td.textContent = text;
      return td;
    }

    function line(row) {
      const tr = document.createElement("tr");
      ranking.cells[row].forEach((text, column) => tr.append(cell(text, ranking.align[column])));
      if (ranking.reasons[row]) {
        tr.title = ranking.reasons[row];
      }
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy notation";
      button.dataset.copy = button.title = button.textContent = ranking.notations[row];
      const td = cell("", "l");
      td.append(button);
      tr.append(td);
      return tr;
    }

    function more() {
      const next = shown.slice(drawn, drawn + CHUNK);
      body.append(...next.map(line));
      drawn += next.length;
    }

    function draw() {
      body.replaceChildren();
      drawn = 0;
      box.scrollTop = 0;
      more();
      const all = order.length.toLocaleString("en");
      document.getElementById("count").textContent =
        shown.length === order.length ? all + " networks" : shown.length.toLocaleString("en") + " of " + all + " networks";
    }

    function search() {
      const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      shown = order.filter((row) => wanted.every((word) => words[row].includes(word)));
      draw();
    }

    function compare(a, b) {
      return typeof a === "string" ? (a < b ? -1 : a > b ? 1 : 0) : a - b;
    }

    // What is not known stays at the end, whichever way the rest is sorted.
    function sort(column) {
      const falling = sorted.column === column ? !sorted.falling : ranking.falling[column];
      const values = column < ranking.sort.length ? ranking.sort[column] : ranking.notations;
      sorted = { column, falling };
      order.sort((a, b) => {
        if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null) || a - b;
        return (falling ? -1 : 1) * compare(values[a], values[b]) || a - b;
      });
      mark();
      search();
    }

    function mark() {
      head.querySelectorAll("th").forEach((th, column) => {
        if (column !== sorted.column) th.removeAttribute("aria-sort");
        else th.setAttribute("aria-sort", sorted.falling ? "descending" : "ascending");
      });
    }

    const headings = document.createElement("tr");
    [...ranking.headings, "notation"].forEach((text, column) => {
      const th = document.createElement("th");
      th.className = ranking.align[column] || "l";
      th.scope = "col";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.addEventListener("click", () => sort(column));
      th.append(button);
      headings.append(th);
    });
    head.append(headings);
    mark();
    filter.addEventListener("input", search);
    box.addEventListener("scroll", () => {
      if (box.scrollTop + box.clientHeight > box.scrollHeight - 400) more();
    });
    addEventListener("beforeprint", () => {
      while (drawn < shown.length) more();
    });
    search();
  }

  // ---- figures ----

  const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function wrapped(text) {
    const lines = [""];
    for (const part of text.split(/(?<=[-,])/)) {
      for (const piece of part.match(/.{1,44}/gs) || []) {
        if ((lines.at(-1) + piece).length > 44) lines.push("");
        lines[lines.length - 1] += piece;
      }
    }
    return lines.map(escape).join("<br>");
  }

  const hovers = new Map();

  function hover(row) {
    if (row === null || row === undefined) return "";
    if (!hovers.has(row)) {
      const of = (heading) => ranking.cells[row][ranking.headings.indexOf(heading)];
      const latency = of("ms") ? ", " + of("ms") + " ms" : "";
      const cost = of("FLOPs") + " FLOPs, " + of("params") + " parameters" + latency;
      hovers.set(row, "<b>rank " + escape(of("rank")) + "</b>: " + escape(of("acc %")) + " %, reward " + escape(of("reward")) +
        "<br>" + escape(cost) + "<br>" + wrapped(ranking.notations[row]));
    }
    return hovers.get(row);
  }

  function resolve(value, style) {
    if (typeof value === "string") {
      const name = value.match(/^var\((--[a-z]+)\)$/);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return typeof value[0] === "object" ? value.map((item) => resolve(item, style)) : value;
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolve(item, style)]));
  }

  function traced(trace, style) {
    const found = resolve(trace, style);
    if (found.customdata && !found.hovertemplate) {
      found.hovertext = found.customdata.map(hover);
      found.hoverinfo = "text";
    }
    return found;
  }

  function laidOut(layout, height, style) {
    const [text, soft, lines, panel] = ["--text", "--soft", "--lines", "--panel"].map((name) => style.getPropertyValue(name).trim());
    const family = getComputedStyle(document.body).fontFamily;
    const axis = { gridcolor: lines, linecolor: soft, tickcolor: soft, zeroline: false, ticks: "outside", ticklen: 4, showline: true };
    const { xaxis, yaxis, legend, ...rest } = resolve(layout, style);
    return {
      height,
      autosize: true,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family, size: 12, color: text },
      margin: { l: 56, r: 14, t: 8, b: 48 },
      hovermode: "closest",
      hoverlabel: { bgcolor: panel, bordercolor: soft, font: { family, size: 12, color: text }, align: "left" },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 }, ...legend },
      dragmode: coarse ? false : "zoom",
      xaxis: { ...axis, ...xaxis },
      yaxis: { ...axis, ...yaxis },
      ...rest,
    };
  }

  const config = { responsive: true, displayModeBar: false };

  function drawFigure(plot, style) {
    const [traces, layout, height] = data.figures[plot.dataset.figure];
    const fresh = !plot.classList.contains("js-plotly-plot");
    Plotly.react(plot, traces.map((trace) => traced(trace, style)), laidOut(layout, height, style), config);
    if (!fresh) return;
    plot.on("plotly_click", (event) => {
      const row = event.points[0].customdata;
      if (ranking && Number.isInteger(row)) copy(ranking.notations[row]);
    });
  }

  // One by one, from the top, so that the page can be read and answers meanwhile.
  function drawFigures() {
    const style = getComputedStyle(document.documentElement);
    const waiting = [...document.querySelectorAll(".plot")];
    const next = () => {
      if (waiting.length) {
        drawFigure(waiting.shift(), style);
        setTimeout(next);
      } else {
        document.documentElement.dataset.drawn = "true";
      }
    };
    setTimeout(next);
  }

  if (ranking) drawRanking();
  drawFigures();
  dark.addEventListener("change", drawFigures);
})();
