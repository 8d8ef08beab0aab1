// SCIMMY on loopback: protocol, schemas, PATCH and filters are third-party, the store below is ours. It says its port on stdout and ends
// with its stdin.
import crypto from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

class Store {
  records = new Map();
  byName = new Map(); // lower-case unique name -> id

  constructor(unique) { this.unique = unique; }

  keyOf(record) { return String(record[this.unique]).toLowerCase(); }

  get(id) {
    const record = this.records.get(id);
    if (!record) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
    return record;
  }

  ingress = (resource, data) => {
    const id = resource.id ?? crypto.randomUUID(), now = new Date();
    const old = resource.id ? this.get(id) : undefined;
    const holder = this.byName.get(this.keyOf(data));
    if (holder && holder !== id) throw new SCIMMY.Types.Error(409, "uniqueness", `${this.unique} '${data[this.unique]}' is already in use`);
    if (old) this.byName.delete(this.keyOf(old));
    const record = { ...JSON.parse(JSON.stringify(data)), id, meta: { created: old?.meta?.created ?? now, lastModified: now } };
    this.records.set(id, record);
    this.byName.set(this.keyOf(record), id);
    return record;
  };

  egress = (resource) => {
    if (resource.id) return this.get(resource.id);
    const all = this.candidates(resource.filter).filter((r) => !resource.filter || resource.filter.match([r]).length);
    // The engine makes an object of every record before it cuts the page out; cutting here keeps thousands of records bearable.
    const { startIndex = 1, count } = resource.constraints ?? {};
    if (!count || all.length <= count || startIndex < 1 || (startIndex > 1 && startIndex <= count)) return all;
    resource.constraints.totalResults = all.length;
    return all.slice(startIndex - 1, startIndex - 1 + count);
  };

  // The one record that a filter by the unique name can match, or all.
  candidates(filter) {
    const wanted = filter?.length === 1 && Object.keys(filter[0]).length === 1 && filter[0][this.unique.toLowerCase()];
    if (Array.isArray(wanted) && wanted[0] === "eq") {
      const id = this.byName.get(String(wanted[1]).toLowerCase());
      return id ? [this.records.get(id)] : [];
    }
    return [...this.records.values()];
  }

  degress = (resource) => {
    this.byName.delete(this.keyOf(this.get(resource.id)));
    this.records.delete(resource.id);
  };
}

const handlers = ({ ingress, egress, degress }) => ({ ingress, egress, degress });
const token = process.env.SCIM_TOKEN;
SCIMMY.Resources.declare(SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false), handlers(new Store("userName")));
SCIMMY.Resources.declare(SCIMMY.Resources.Group, handlers(new Store("displayName")));
const app = express();
app.use("/scim/v2", new SCIMMYRouters({
  type: "bearer",
  docUri: "https://example.com",
  handler: (req) => {
    if (req.header("Authorization") !== `Bearer ${token}`) throw new Error("Authorization not detected!");
    return "dirsweep";
  },
}));
const server = app.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port, base: "/scim/v2" })));
process.stdin.on("end", () => process.exit()).resume();
