// A form of filters is sent as soon as one of its choices changes. Without scripts its button does that.

for (const form of document.querySelectorAll("[data-filters]")) {
  for (const choice of form.querySelectorAll("select")) choice.addEventListener("change", () => form.requestSubmit());
}
