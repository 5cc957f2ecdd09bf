// PostGraphile as its documentation sets it up, on the tables of one database.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

// which node 20 lacks
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new Promise((kept, broken) => {
    resolve = kept;
    reject = broken;
  });
  return { promise, resolve, reject };
};

const [port, connection] = process.argv.slice(2);
const service = { poolConfig: JSON.parse(connection), schemas: ["public"] };
const served = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService(service)],
  grafserv: { graphqlPath: "/graphql", watch: false, graphiql: false },
});
const server = createServer();
served.createServ(grafserv).addTo(server).catch((error) => {
  console.error(error);
  process.exit(1);
});
server.listen(Number(port), "127.0.0.1");
