import { ApiError, Client, sleep } from "./client.js";
import {
  CustomersDocument,
  JobDocument,
  JobsDocument,
  SegmentPreviewDocument,
  SegmentPreviewResultDocument,
  type CustomersQuery,
  type SegmentRuleInput,
} from "./gql/graphql.js";

const REGULARS: SegmentRuleInput = { orderCount: { atLeast: 2 } };

/** Prints customers, the newest first, page by page until there are `wanted`. */
async function listCustomers(client: Client, wanted: number): Promise<void> {
  let after: string | null = null;
  for (let left = wanted; left > 0; ) {
    const { customers }: CustomersQuery = await client.run(CustomersDocument, {
      first: Math.min(left, 100),
      after,
    });
    for (const customer of customers.nodes) {
      const tags = customer.tags.map(({ tag }) => tag).join(", ");
      console.log(`  ${customer.name ?? "-"}  ${customer.province ?? "-"}  ${tags}`);
    }
    left -= customers.nodes.length;
    after = customers.pageInfo.endCursor ?? null;
    if (left <= 0 || !customers.pageInfo.hasNextPage) {
      const { value, precision } = customers.count;
      console.log(`${precision === "AT_LEAST" ? "at least " : ""}${value} customers`);
      return;
    }
  }
}

/** Prints what a rule finds; a long count is left to a job, which is followed. */
async function previewSegment(client: Client, rule: SegmentRuleInput): Promise<void> {
  const { preview, errors } = await previewed(client, rule);
  const [error] = errors;
  if (error) throw new ApiError(`${error.path.join(".")}: ${error.message}`, error.code);
  if (!preview) throw new ApiError("the job ended without an answer");
  console.log(`${preview.count} of ${preview.customers} customers fit`);
  for (const { channel, reached } of preview.reach) {
    console.log(`  ${channel}: ${reached} can be written to`);
  }
}

async function previewed(client: Client, rule: SegmentRuleInput) {
  const { segmentPreview } = await client.run(SegmentPreviewDocument, { rule });
  if (!segmentPreview.job) return segmentPreview;
  const jobId = segmentPreview.job.id;
  await followJob(client, jobId);
  return (await client.run(SegmentPreviewResultDocument, { jobId })).segmentPreviewResult;
}

/** Prints a job's progress until it has ended. */
async function followJob(client: Client, id: string): Promise<void> {
  for (;;) {
    const { job } = await client.run(JobDocument, { id });
    if (!job) throw new ApiError(`there is no job ${id}`);
    const { done, total } = job.progress;
    console.log(`  ${job.kind}: ${job.state} ${done}/${total ?? "?"}`);
    switch (job.state) {
      case "QUEUED":
      case "RUNNING":
        await sleep(1);
        break;
      case "FAILED":
        console.log(`  ${job.error?.code}: ${job.error?.message}`);
        return;
      case "SUCCEEDED":
      case "CANCELLED":
        return;
    }
  }
}

async function main(): Promise<void> {
  const { HUIKE_URL = "http://127.0.0.1:8000", HUIKE_TOKEN } = process.env;
  if (!HUIKE_TOKEN) throw new Error("set HUIKE_TOKEN, and HUIKE_URL if need be");
  const client = new Client(HUIKE_URL, HUIKE_TOKEN);
  await listCustomers(client, 10);
  await previewSegment(client, REGULARS);
  const { jobs } = await client.run(JobsDocument, { first: 1 });
  const [newest] = jobs.nodes;
  if (newest) await followJob(client, newest.id);
}

main().catch((error: unknown) => {
  console.error(error instanceof ApiError ? `${error.code ?? "?"}: ${error.message}` : error);
  process.exitCode = 1;
});
