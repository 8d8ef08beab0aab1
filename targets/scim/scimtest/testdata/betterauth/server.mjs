// better-auth with its SCIM plugin on loopback: a whole third-party SCIM service, storage included. It says its port on stdout and ends
// with its stdin.
import http from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { getAuthTables } from "better-auth/db";
import { toNodeHandler } from "better-auth/node";
import { scim } from "@better-auth/scim";

const token = process.env.SCIM_TOKEN, rate = Number(process.env.RATE || 0);
const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const port = server.address().port, tables = {};
  const options = {
    baseURL: `http://127.0.0.1:${port}`,
    secret: "for-tests-only-".repeat(3),
    telemetry: { enabled: false },
    database: memoryAdapter(tables),
    rateLimit: { enabled: rate > 0, window: 10, max: rate || 100 },
    plugins: [scim({ connections: [{ id: "acme", credentials: [{ type: "bearer", id: "k1", token }] }] })],
  };
  for (const table of Object.values(getAuthTables(options))) tables[table.modelName] = [];
  server.on("request", toNodeHandler(betterAuth(options)));
  console.log(JSON.stringify({ port, base: "/api/auth/scim/v2" }));
});
process.stdin.on("end", () => process.exit()).resume();
