// Keys over a figure: this element, which shows nothing, listens for what is around it.
const KEYS = new Set([
  "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "=", "-", "n", "p", "z",
  "Enter", "Escape", "Backspace",
]);
const TYPED_INTO = new Set(["INPUT", "TEXTAREA", "SELECT", "BUTTON"]);

export function render({ model, el }) {
  const listen = () => {
    // shadow roots all the way: out of this element, then out of its column
    const own = el.getRootNode().host;
    const around = own && own.getRootNode().host;
    if (!around) {
      requestAnimationFrame(listen);
      return;
    }
    around.tabIndex = 0;
    around.setAttribute("role", "application");
    around.setAttribute("aria-label", model.label);
    around.style.outlineOffset = "2px";
    const onPointer = (event) => {
      if (!TYPED_INTO.has(event.composedPath()[0].tagName)) around.focus({ preventScroll: true });
    };
    const onKey = (event) => {
      const target = event.composedPath()[0];
      if (TYPED_INTO.has(target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
      // JupyterLab's own single keys would add or cut cells
      event.stopPropagation();
      if (!KEYS.has(event.key)) return;
      event.preventDefault();
      model.send_msg(event.key);
    };
    around.addEventListener("pointerdown", onPointer);
    around.addEventListener("keydown", onKey);
    model.on("remove", () => {
      around.removeEventListener("pointerdown", onPointer);
      around.removeEventListener("keydown", onKey);
    });
  };
  requestAnimationFrame(listen);
  return document.createElement("span");
}
