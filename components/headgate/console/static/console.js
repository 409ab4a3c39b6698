// What every page has: words where the server does not answer in time, and the time of the last answer that came.
"use strict";
(() => {
  const away = () => document.getElementById("away");
  const clock = () => new Date().toLocaleTimeString();
  let last = clock();

  function say(words) {
    away().textContent = `${words} What you see is from ${last}.`;
    away().hidden = false;
  }

  document.addEventListener("htmx:timeout", () => say("The server took too long to answer."));
  document.addEventListener("htmx:sendError", () => say("The server cannot be reached."));
  document.addEventListener("htmx:afterRequest", (event) => {
    const status = event.detail.xhr.status;
    if (status >= 500 && status !== 503) say("The server had a fault.");
    else if (status > 0) {
      last = clock();
      away().hidden = true;
    }
  });
})();
