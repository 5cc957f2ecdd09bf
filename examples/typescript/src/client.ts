import type { TypedDocumentString } from "./gql/graphql.js";

interface Answer<Data> {
  data?: Data | null;
  errors?: {
    message: string;
    extensions?: { code?: string; requestId?: string };
  }[];
}

/** The request as a whole was refused; `requestId` finds it in the server's log. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code?: string,
    readonly requestId?: string,
  ) {
    super(message);
  }
}

export class Client {
  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  /** The data that a document answers, typed by it. Waits where the server asks for it. */
  async run<Data, Variables>(
    document: TypedDocumentString<Data, Variables>,
    variables: Variables,
  ): Promise<Data> {
    for (;;) {
      const response = await fetch(`${this.url}/graphql`, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          Authorization: `Bearer ${this.token}`,
        },
        body: JSON.stringify({ query: document.toString(), variables }),
      });
      if (response.status === 429) {
        await sleep(Number(response.headers.get("Retry-After") ?? 1));
        continue;
      }
      const { data, errors } = (await response.json()) as Answer<Data>;
      const [first] = errors ?? [];
      if (first) {
        const { code, requestId } = first.extensions ?? {};
        throw new ApiError(first.message, code, requestId);
      }
      if (!data) throw new ApiError(`no data, status ${response.status}`);
      return data;
    }
  }
}

export function sleep(seconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, seconds * 1000));
}
