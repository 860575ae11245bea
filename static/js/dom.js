// Makes elements from data. Text is only ever set as text, so nothing that a server sends can become markup.

/** Make an element: attributes by name (`true` for a bare one, false or null to leave out), `on...` for listeners. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Show or hide an element. */
export function show(node, visible) {
  node.hidden = !visible;
}

/** Set text only where it changes: screen readers and layout are spared the rest. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Copy text; false where the browser does not allow it. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

// The clipboard API exists only over HTTPS and on loopback.
function copyBySelection(text) {
  const field = element("textarea", { readonly: true, class: "visually-hidden", "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}
