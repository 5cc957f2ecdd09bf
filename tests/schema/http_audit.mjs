// The audits of GraphQL over HTTP by the package graphql-http, against a running server.
// node http_audit.mjs <folder with node_modules> <url>: prints a JSON list of {id, name, status, reason}.
import { createRequire } from "node:module";

const [folder, url] = process.argv.slice(2);
const { serverAudits } = createRequire(`${folder}/`)("graphql-http");

const found = [];
for (const audit of serverAudits({ url, fetchFn: fetch })) {
  const { id, name, status, reason } = await audit.fn();
  found.push({ id, name, status, reason: reason ?? null });
}
console.log(JSON.stringify(found));
