#!/usr/bin/env python3
# An exec target for an application that keeps its accounts in a SQLite table. The protocol: docs/targets/exec.md.
import json, os, sqlite3, sys
db = sqlite3.connect(os.environ["BADGES_DB"], timeout=20, isolation_level=None)
db.execute("""create table if not exists badge (id integer primary key autoincrement,
  userName text unique collate nocase, externalId text, displayName text, title text, active integer default 1)""")
HELLO = {"version": 1, "name": "badges", "attributes": ["externalId", "displayName", "title"],
         "operations": ["accounts", "account", "create", "update", "enable", "disable", "delete"]}
def show(id, userName, externalId, displayName, title, active):
    return {"account": {"id": str(id), "userName": userName, "externalId": externalId or "", "active": bool(active),
                        "attributes": {"displayName": displayName, "title": title}}}
def change(sql, *values):
    return {} if db.execute(sql, values).rowcount else {"error": "not_found"}
def answer(op, account={}, set={}, **rest):
    if op == "hello": return {"hello": HELLO}
    id = account.get("id")
    if op == "create":
        names = account["userName"], account.get("externalId")
        id = db.execute("insert into badge (userName, externalId) values (?, ?)", names).lastrowid
        set = account.get("attributes", {})
    if op in ("create", "update"):
        for path, value in set.items():
            if path not in HELLO["attributes"] + ["userName"]: return {"error": "rejected", "attribute": path}
            if "error" in change(f"update badge set {path} = ? where id = ?", value, id): return {"error": "not_found"}
    if op in ("enable", "disable"): return change("update badge set active = ? where id = ?", op == "enable", id)
    if op == "delete": return change("delete from badge where id = ?", id)
    row = db.execute("select * from badge where id = ?", (id,)).fetchone()
    return show(*row) if row else {"error": "not_found"}
for line in sys.stdin:
    request = json.loads(line); number = request.pop("id")
    def say(**more): print(json.dumps({"id": number, **more}), flush=True)
    try:
        if request["op"] == "accounts":
            rows = db.execute("select * from badge").fetchall()
            for row in rows: say(**show(*row))
            say(end=True, count=len(rows))
        else: say(**answer(**request))
    except sqlite3.IntegrityError as wrong: say(error="conflict", message=str(wrong))
    except Exception as wrong: say(error="unavailable", message=str(wrong))
