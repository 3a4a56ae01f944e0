// Controls of the page: plain HTML, which keyboards and screen readers know.

function element(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

let groups = 0; // radio buttons of two widgets must not exclude each other

function radios(name, options, chosen, onchange) {
  const group = `axonlab-${name}-${groups++}`;
  const inputs = {};
  const labels = options.map(({ id, key, hint, content }) => {
    inputs[id] = element("input", { type: "radio", name: group, value: id, "aria-keyshortcuts": key, onchange: () => onchange(id) });
    return element("label", { class: "axonlab-button", title: `${hint} (${key})` }, inputs[id], ...content);
  });
  inputs[chosen].checked = true;
  return { inputs, node: element("div", { class: "axonlab-group", role: "radiogroup", "aria-label": name }, ...labels) };
}

function slider(name, hint, { min, max, step, value }, oninput) {
  const output = element("output", {}, String(value));
  const input = element("input", { type: "range", min, max, step, "aria-label": name, oninput: () => show(input.valueAsNumber) });
  input.value = value;
  function show(number) {
    input.value = number;
    output.textContent = input.value;
    oninput(input.valueAsNumber);
  }
  return { show, node: element("label", { class: "axonlab-slider", title: hint }, `${name} `, input, output) };
}

const button = (name, hint, onclick) => element("button", { type: "button", class: "axonlab-button", title: hint, onclick }, name);

function checkbox(name, hint, checked, onchange) {
  const input = element("input", { type: "checkbox", onchange: () => onchange(input.checked) });
  input.checked = checked;
  return { input, node: element("label", { class: "axonlab-check", title: hint }, input, ` ${name}`) };
}

const bar = (name, ...children) => element("div", { class: "axonlab-bar", role: "group", "aria-label": name }, ...children);
