/* Starts Swagger UI on this service's OpenAPI document. */

const reply = await fetch("openapi.json");
const spec = await reply.json();
// Requests go to the folder of this page: a proxy may serve the service below a path of its own.
spec.servers = [{ url: new URL(".", location.href).href }];
SwaggerUIBundle({ spec, dom_id: "#docs", validatorUrl: "none", tryItOutEnabled: true, deepLinking: true });
