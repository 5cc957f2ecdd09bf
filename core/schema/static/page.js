"use strict";
(() => {
  const tokenBox = document.getElementById("token");
  const status = document.getElementById("status");
  const examplesBox = document.getElementById("examples");
  const titles = document.getElementById("titles");

  // #token=... in the address is taken over and then taken out of the address
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("huike-token", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  tokenBox.value = sessionStorage.getItem("huike-token") || "";

  const headers = () => {
    const made = {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json;q=0.9",
    };
    if (tokenBox.value) made.authorization = "Bearer " + tokenBox.value;
    return made;
  };

  // one WebSocket for each subscription, by the protocol graphql-transport-ws
  const subscribe = (params) => ({
    subscribe(observer) {
      const address = location.origin.replace(/^http/, "ws") + "/graphql";
      const socket = new WebSocket(address, "graphql-transport-ws");
      const send = (message) => socket.send(JSON.stringify(message));
      let open = true;
      const end = (error) => {
        if (!open) return;
        open = false;
        if (error) observer.error(error); else observer.complete();
      };
      socket.onopen = () =>
        send({ type: "connection_init", payload: { Authorization: "Bearer " + tokenBox.value } });
      socket.onmessage = (event) => {
        const message = JSON.parse(event.data);
        if (message.type === "connection_ack") send({ id: "1", type: "subscribe", payload: params });
        else if (message.type === "ping") send({ type: "pong" });
        else if (message.type === "next") observer.next(message.payload);
        else if (message.type === "error") { end(message.payload); socket.close(); }
        else if (message.type === "complete") { end(); socket.close(); }
      };
      socket.onclose = (event) => end(event.code === 1000 ? null : { message: event.reason || "closed" });
      return { unsubscribe() { open = false; socket.close(); } };
    },
  });

  const isSubscription = ({ operationName }, { documentAST } = {}) =>
    (documentAST ? documentAST.definitions : []).some((one) => one.operation === "subscription"
      && (!operationName || one.name?.value === operationName));

  const fetcher = async (params, options) => {
    if (isSubscription(params, options)) return subscribe(params);
    const answer = await fetch("/graphql", { method: "POST", headers: headers(), body: JSON.stringify(params) });
    const text = await answer.text();
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`no answer of the API, but status ${answer.status}: ${text.slice(0, 500)}`);
    }
  };

  const root = ReactDOM.createRoot(document.getElementById("graphiql"));
  let shown = 0;
  // what an example needs, to be filled in; what has a default is left to it
  const variablesOf = (query) => {
    const head = (query || "").replace(/#.*/g, "").match(/^\s*\w+\s*\w*\s*\(([^)]*)\)/)?.[1] || "";
    const found = [...head.matchAll(/\$(\w+)\s*:\s*(\[?)(\w+)([\]!]*)(\s*=)?/g)].filter((one) => !one[5]).map(
      ([, name, list, kind, end]) => [name, list ? (end.endsWith("]") ? null : []) : /Input$|Where$/.test(kind) ? {} : null]);
    return found.length ? JSON.stringify(Object.fromEntries(found), null, 2) : undefined;
  };
  const render = (query) => {
    shown += 1;
    const variables = variablesOf(query);
    root.render(React.createElement(GraphiQL, {
      key: shown,
      fetcher,
      query,
      variables,
      defaultEditorToolsVisibility: variables ? "variables" : false,
      defaultQuery: "# Put your token into the box above, then run this.\n{\n  viewer {\n    merchant { name }\n    permissions\n  }\n}\n",
      shouldPersistHeaders: false,
      isHeadersEditorEnabled: false,
    }));
  };
  render(undefined);

  const check = async () => {
    sessionStorage.setItem("huike-token", tokenBox.value);
    if (!tokenBox.value) { status.textContent = "no token"; return; }
    const answer = await fetcher({ query: "{ viewer { merchant { name } } }" });
    status.textContent = answer.data && answer.data.viewer ? answer.data.viewer.merchant.name : "the token is not valid";
  };
  tokenBox.addEventListener("change", check);
  check();

  // typed into, the box offers the examples whose title or name has the text
  const queries = new Map();
  fetch("/graphiql/operations").then((answer) => answer.json()).then((examples) => {
    for (const { title, name, query } of examples) {
      const option = document.createElement("option");
      option.value = title;
      option.label = name;
      titles.append(option);
      queries.set(title, query);
    }
    examplesBox.placeholder = `${examples.length} operations: type to search`;
  });
  examplesBox.addEventListener("input", () => {
    const query = queries.get(examplesBox.value);
    if (!query) return;
    examplesBox.placeholder = examplesBox.value;
    examplesBox.value = "";
    render(query);
  });
})();
