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

const group = (name, ...children) =>
  element("div", { class: "axonlab-group", role: "group", "aria-label": name }, ...children);

const bar = (name, ...children) =>
  element("div", { class: "axonlab-bar", role: "group", "aria-label": name }, ...children);

let groups = 0; // radio buttons of two widgets must not exclude each other

function radios(title, options, chosen, onchange) {
  const name = `axonlab-${title}-${groups++}`;
  const inputs = {};
  const labels = options.map(({ id, label, key, hint, content }) => {
    inputs[id] = element("input", {
      type: "radio",
      name,
      value: id,
      "aria-label": label, // without the share beside it, which changes with every stroke
      "aria-keyshortcuts": key,
      onchange: () => onchange(id),
    });
    const properties = { class: "axonlab-button", title: `${hint} (${key.toUpperCase()})` };
    return element("label", properties, inputs[id], ...content);
  });
  inputs[chosen].checked = true;
  const properties = { class: "axonlab-group", role: "radiogroup", "aria-label": title };
  return { inputs, node: element("div", properties, ...labels) };
}

function slider(name, hint, { value, ...range }, oninput) {
  const shown = element("span", { class: "axonlab-value" }, String(value));
  const input = element("input", {
    type: "range",
    ...range,
    "aria-label": name,
    oninput: () => show(input.valueAsNumber),
  });
  input.value = value;
  function show(number) {
    input.value = number;
    shown.textContent = input.value;
    oninput(input.valueAsNumber);
  }
  const properties = { class: "axonlab-slider", title: hint };
  return { show, node: element("label", properties, `${name} `, input, shown) };
}

function button(name, hint, onclick) {
  const properties = { type: "button", class: "axonlab-button", title: hint, onclick };
  if (name.length === 1) properties["aria-label"] = hint; // a sign says nothing
  return element("button", properties, name);
}

// A disabled button would lose the focus, and with it the keys of the widget.
function enable(node, isEnabled) {
  node.setAttribute("aria-disabled", String(!isEnabled));
}

function checkbox(name, hint, checked, onchange) {
  const input = element("input", { type: "checkbox", onchange: () => onchange(input.checked) });
  input.checked = checked;
  const set = (isOn) => {
    if (input.checked !== isOn) input.click();
  };
  const node = element("label", { class: "axonlab-check", title: hint }, input, name);
  return { input, set, node };
}
