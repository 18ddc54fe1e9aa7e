"use strict";

// Follow the reader's colours; Swagger UI has a dark mode of its own.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const ui = SwaggerUIBundle({
  // Relative to this page, so that it also holds behind a proxy that adds a prefix.
  url: new URL("../openapi.json", document.baseURI).href,
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  queryConfigEnabled: false,
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  defaultModelRendering: "example",
  defaultModelsExpandDepth: -1,
  onComplete: () => {
    // Open the first model, which is the default one, unless the address asks for another place.
    const first = ui.specSelectors.taggedOperations().keySeq().first();
    if (first && window.location.hash.length <= 2) {
      ui.layoutActions.show(["operations-tag", first], true);
    }
  },
});
