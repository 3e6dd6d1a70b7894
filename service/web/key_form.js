// The form that asks for an API key, which stays in memory.

import { byId, setText } from "./dom.js";

// `start` tries again with the key. Returns a function that shows the form.
export function startKeyForm(service, start) {
  let rejected = false;
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    service.useKey(byId("key").value.trim());
    byId("key").value = "";
    start();
  });
  return () => {
    setText(byId("model"), "No model: the service requires an API key.");
    setText(byId("key-problem"), rejected ? "The service does not accept this key." : "");
    byId("key-form").hidden = false;
    byId("key").focus();
    rejected = true; // the form appears again only after a key that was not accepted
  };
}
