// Pictures to move in a page without a kernel: a slider leafs through stills, two more choose a layer and a head.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".stills").forEach(leafThrough);
  document.querySelectorAll(".heads").forEach(turnHeads);
});

function slider(name, values, start, show) {
  const label = document.createElement("label"), input = document.createElement("input");
  const said = document.createElement("output");
  Object.assign(input, {type: "range", min: 0, max: values.length - 1, value: start});
  const update = () => { said.textContent = values[input.value]; show(Number(input.value)); };
  input.addEventListener("input", update);
  label.append(`${name} `, input, " ", said);
  label.className = "slider";
  update();
  return label;
}

function leafThrough(box) {
  const pictures = [...box.children];
  const show = (chosen) => pictures.forEach((picture, place) => { picture.hidden = place !== chosen; });
  box.prepend(slider(box.dataset.name, pictures.map((picture) => picture.dataset.value), 0, show));
}

function turnHeads(box) {
  const {tokens, shares, start, words} = JSON.parse(box.dataset.attention);
  const screen = document.createElement("div"), numbers = (list) => list.map((_, place) => place + 1);
  const chosen = {layer: start[0] - 1, head: start[1] - 1};
  const draw = () => screen.replaceChildren(drawHead(tokens, shares[chosen.layer][chosen.head], words.title));
  box.replaceChildren(
    slider(words.layer, numbers(shares), chosen.layer, (place) => { chosen.layer = place; draw(); }),
    slider(words.head, numbers(shares[0]), chosen.head, (place) => { chosen.head = place; draw(); }),
    screen);
}

function shape(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.textContent = text;
  return made;
}

// Left each token that looks, right each that is looked at; a line is as strong as its share of the attention.
function drawHead(tokens, shares, title) {
  const row = 24, left = 70, right = 300, middle = (place) => row * (place + 0.5);
  const svg = shape("svg", {width: right + 120, height: row * tokens.length, role: "group", "aria-label": title});
  const lines = shares.map((of, from) => of.map((share, to) => svg.appendChild(
    shape("line", {x1: left + 8, y1: middle(from), x2: right - 8, y2: middle(to), "stroke-opacity": share / 100}))));
  const aims = tokens.map((token, to) => svg.appendChild(shape("text", {x: right, y: middle(to), dy: 5}, token)));
  const point = (chosen) => {
    lines.forEach((of, from) => of.forEach((line, to) => {
      const faint = chosen === null ? 1 : from === chosen ? 1.5 : 0;
      line.setAttribute("stroke-opacity", Math.min(1, faint * shares[from][to] / 100));
    }));
    aims.forEach((aim, to) => {
      aim.textContent = chosen === null ? tokens[to] : `${tokens[to]} ${shares[chosen][to]}%`;
      aim.setAttribute("opacity", chosen === null ? 1 : 0.35 + 0.65 * Math.min(1, shares[chosen][to] / 30));
    });
  };
  tokens.forEach((token, from) => {
    const name = shape("text", {x: left, y: middle(from), dy: 5, "text-anchor": "end", tabindex: 0}, token);
    ["mouseenter", "focus"].forEach((event) => name.addEventListener(event, () => point(from)));
    ["mouseleave", "blur"].forEach((event) => name.addEventListener(event, () => point(null)));
    svg.append(name);
  });
  return svg;
}
