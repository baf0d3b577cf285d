// Sorting and filtering of the test rows. Everything is written as text, never as markup.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("row-data").textContent);
  const PAGE = 100;
  const el = (name, props, ...inner) => {
    const node = Object.assign(document.createElement(name), props || {});
    node.append(...inner);
    return node;
  };
  const minus = (text) => text.replace("-", "\u2212");
  const diff = (row, arm) => (row.m[arm] === null || row.m[0] === null ? null : row.m[arm] - row.m[0]);
  const largest = (row) => Math.max(0, ...data.arms.map((_, i) => Math.abs(diff(row, i) || 0)));
  const state = { arm: "", slices: data.columns.map(() => ""), way: "differs", mode: "", id: "", by: "size", down: true, page: 0 };

  const columns = [
    { key: "id", name: "row", value: (r) => r.id },
    ...data.columns.map((name, i) => ({ key: "s" + i, name, value: (r) => r.s[i] || "" })),
    ...data.arms.map((name, i) => ({ key: "m" + i, name, number: true, code: true, value: (r) => r.m[i] })),
    ...data.arms.slice(1).map((name, i) => ({ key: "d" + (i + 1), name: name + " difference, pp", number: true, signed: true, value: (r) => diff(r, i + 1) })),
    { key: "f", name: "failure modes", value: modes },
  ];

  function modes(row) {
    return data.arms
      .map((arm, i) => [arm, row.f[i].map(([m, n]) => data.modes[m] + (n < data.trials ? " (" + n + ")" : "")).join(", ")])
      .filter(([, said]) => said)
      .map(([arm, said]) => arm + ": " + said)
      .join("; ");
  }

  function chosen() {
    const arms = state.arm === "" ? data.arms.map((_, i) => i).slice(1) : [Number(state.arm)];
    const tests = {
      all: () => true,
      differs: (r) => arms.some((a) => diff(r, a)),
      better: (r) => arms.some((a) => diff(r, a) > 0),
      worse: (r) => arms.some((a) => diff(r, a) < 0),
    };
    const within = state.arm === "" ? data.arms.map((_, i) => i) : [0, Number(state.arm)];
    const rows = data.rows.filter(
      (r) =>
        tests[state.way](r) &&
        state.slices.every((v, i) => v === "" || r.s[i] === v) &&
        (state.mode === "" || within.some((a) => r.f[a].some(([m]) => m === Number(state.mode)))) &&
        r.id.includes(state.id)
    );
    const column = columns.find((c) => c.key === state.by);
    const value = column ? column.value : largest;
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      const way = x < y ? -1 : x > y ? 1 : 0;
      return (state.down ? -way : way) || (a.id < b.id ? -1 : 1);
    };
    return rows.sort(order);
  }

  function draw() {
    const rows = chosen();
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const head = el("tr");
    for (const c of columns) {
      const button = el("button", { type: "button", textContent: c.name });
      button.addEventListener("click", () => {
        state.down = state.by === c.key ? !state.down : Boolean(c.number);
        state.by = c.key;
        draw();
      });
      const th = el("th", { className: c.number ? "n" : "", scope: "col" }, button);
      if (state.by === c.key) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      head.append(th);
    }
    const body = el("tbody");
    for (const row of rows.slice(state.page * PAGE, (state.page + 1) * PAGE)) {
      const tr = el("tr");
      for (const c of columns) {
        const v = c.value(row);
        const td = el("td", { className: c.number ? "n" : "" });
        if (c.signed && v !== null) {
          const text = (v * 100).toFixed(1);
          td.textContent = Number(text) === 0 ? "+0.0" : v > 0 ? "+" + text : minus(text);
          td.classList.add(v > 0 ? "up" : v < 0 ? "down" : "same");
        } else if (c.number) {
          td.textContent = v === null ? "-" : v.toFixed(2);
        } else if (c.key === "id") {
          td.append(el("code", { textContent: v }));
        } else {
          td.textContent = v;
        }
        tr.append(td);
      }
      body.append(tr);
    }
    const table = el("table", {}, el("thead", {}, head), body);
    const turn = (text, by, off) => {
      const b = el("button", { type: "button", textContent: text, disabled: off });
      b.addEventListener("click", () => {
        state.page += by;
        draw();
      });
      return b;
    };
    const parts = [el("div", { className: "wide" }, table)];
    if (pages > 1) {
      parts.push(
        el("div", { className: "pages" }, turn("Previous", -1, state.page === 0), el("span", { textContent: "Page " + (state.page + 1) + " of " + pages }), turn("Next", 1, state.page === pages - 1))
      );
    }
    document.getElementById("row-table").replaceChildren(...parts);
    document.getElementById("shown").textContent = rows.length.toLocaleString("en") + " of " + data.rows.length.toLocaleString("en") + " test rows";
  }

  const controls = document.getElementById("controls");
  const choice = (label, options, set) => {
    const select = el("select", {}, ...options.map(([value, text]) => el("option", { value, textContent: text })));
    select.addEventListener("change", () => {
      set(select.value);
      state.page = 0;
      draw();
    });
    controls.append(el("label", {}, label, select));
  };
  choice("Show", [["differs", "rows that differ"], ["better", "better than the baseline"], ["worse", "worse than the baseline"], ["all", "all rows"]], (v) => (state.way = v));
  if (data.arms.length > 2) {
    choice("Arm", [["", "any candidate"], ...data.arms.slice(1).map((a, i) => [String(i + 1), a])], (v) => (state.arm = v));
  }
  data.columns.forEach((column, i) => {
    const values = [...new Set(data.rows.map((r) => r.s[i] || ""))].filter(Boolean).sort();
    choice(column, [["", "all"], ...values.map((v) => [v, v])], (v) => (state.slices[i] = v));
  });
  if (data.modes.length) {
    choice("Failure mode", [["", "any"], ...data.modes.map((m, i) => [String(i), m])], (v) => (state.mode = v));
  }
  const search = el("input", { type: "search", placeholder: "r_..." });
  search.addEventListener("input", () => {
    state.id = search.value.trim();
    state.page = 0;
    draw();
  });
  controls.append(el("label", {}, "Row id", search));
  controls.hidden = false;
  draw();
})();
