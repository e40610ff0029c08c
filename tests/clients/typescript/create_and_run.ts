// Create and Run, wait, labels: by the types that openapi-typescript makes of openapi/openapi.json.
//
//     node create_and_run.js BASE KEY BODY

import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type IntegrationBody = components["schemas"]["IntegrationBody"];
type Label = components["schemas"]["LabelRecordView"];
type RunRecord = components["schemas"]["RunRecord"];

const [base, key, body] = process.argv.slice(2);
if (!base || !key || !body) throw new Error("usage: create_and_run BASE KEY BODY");

const client = createClient<paths>({ baseUrl: base, headers: { authorization: `Bearer ${key}` } });
const integration: IntegrationBody = { ...JSON.parse(readFileSync(body, "utf8")), name: "typescript" };

const refused = await client.POST("/api/v1/integrations/context", {
  body: integration,
  headers: { authorization: "Bearer wrong" },
});
if (refused.error?.name !== "unauthorized") throw new Error(`not refused: ${refused.response.status}`);

const created = await client.POST("/api/v1/integrations/context", {
  params: { query: { run: true } },
  body: integration,
});
if (!created.data?.run) throw new Error(created.error?.message);
const id = created.data.data[0]!.id;

let run: RunRecord = created.data.run;
while (["queued", "running"].includes(run.state)) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  const read = await client.GET("/api/v1/runs/{run}", { params: { path: { run: run.id } } });
  if (!read.data) throw new Error(read.error.message);
  run = read.data.data;
}
if (run.state !== "succeeded") throw new Error(`the run ended ${run.state}: ${run.failure?.message}`);

const labels: Label[] = [];
let cursor: string | undefined;
do {
  const page = await client.GET("/api/v1/integrations/context/{id}/labels", {
    params: { path: { id }, query: { limit: 50, ...(cursor ? { cursor } : {}) } },
  });
  if (!page.data) throw new Error(page.error.message);
  labels.push(...page.data.data);
  cursor = page.data.meta.next ?? undefined;
} while (cursor);

const status = await client.GET("/api/v1/integrations/context/{id}/status", { params: { path: { id } } });
if (!labels.length || labels.length !== status.data?.data.pairs) {
  throw new Error(`${labels.length} labels, but ${status.data?.data.pairs} pairs`);
}
await client.DELETE("/api/v1/integrations/context/{id}", { params: { path: { id } } });
console.log(`typescript: ${labels.length} labels by a generated client`);
