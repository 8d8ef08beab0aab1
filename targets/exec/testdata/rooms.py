#!/usr/bin/env python3
# An application with everything that the protocol has: groups, steps, looking accounts up, a token. Its data is JSON in
# the file ROOMS, which tests read and change under the same lock; what it is asked is appended to ROOMS.log.
import fcntl, json, os, sys

FIELDS = ["externalId", "displayName", "title", "emails"]
HELLO = {
    "version": 1, "name": "rooms", "attributes": FIELDS,
    "operations": ["accounts", "account", "find", "groups", "create", "update", "enable", "disable", "delete", "grant", "withdraw"],
    "steps": [{"name": "sessions", "revokes": True, "readable": True}, {"name": "desk", "readable": True}, {"name": "mail"}],
    "own": {"id": "1000", "userName": "dirsweep"},
}
PATH = os.environ["ROOMS"]
number = 0


def say(**more):
    sys.stdout.write(json.dumps({"id": number, **more}) + "\n")
    sys.stdout.flush()


def show(a):
    out = {k: a[k] for k in ("id", "userName", "externalId", "active", "groups") if k in a}
    return {"account": {**out, "attributes": {k: v for k, v in a["attributes"].items() if k != "externalId"}}}


def values(a, attribute):
    v = a["attributes"].get(attribute) if attribute not in ("userName", "externalId") else a[attribute]
    return v if isinstance(v, list) else [v]


def answer(data, op, r):
    users, groups = data["users"], data["groups"]
    if op == "accounts":
        for a in users: say(**show(a))
        return {"end": True, "count": len(users)}
    if op == "groups":
        for g in groups: say(group=g)
        return {"end": True, "count": len(groups)}
    if op == "find":
        fold = (lambda s: s) if r["attribute"] == "externalId" else (lambda s: s.lower() if isinstance(s, str) else s)
        hits = [a for a in users if fold(r["value"]) in map(fold, values(a, r["attribute"]))]
        for a in hits: say(**show(a))
        return {"end": True, "count": len(hits)}
    want = r["account"]
    if op == "create":
        if any(a["userName"].lower() == want["userName"].lower() for a in users): return {"error": "conflict"}
        data["next"] += 1
        a = {"id": str(data["next"]), "userName": want["userName"], "externalId": want.get("externalId", ""), "active": True,
             "attributes": want.get("attributes", {}), "groups": [], "desk": "desk %d" % data["next"], "sessions": 1}
        users.append(a)
        return {**show(a), "receipt": "made-" + a["id"]}
    found = [a for a in users if a["id"] == want["id"]]
    if not found: return {"error": "not_found", "message": "no such account"}
    a = found[0]
    if op == "account": return show(a)
    if op == "update":
        for k, v in r["set"].items():
            if k in ("userName", "externalId"): a[k] = v or ""
            elif v is None: a["attributes"].pop(k, None)
            else: a["attributes"][k] = v
    elif op == "enable": a["active"], a["desk"] = True, r.get("kept", {}).get("desk", a["desk"])
    elif op == "disable": a["active"] = False
    elif op == "delete": users.remove(a)
    elif op in ("grant", "withdraw"):
        if r["group"] not in [g["id"] for g in groups]: return {"error": "rejected", "message": "no such group"}
        a["groups"] = sorted(set(a["groups"]) - {r["group"]} | ({r["group"]} if op == "grant" else set()))
    elif op == "step":
        if r["step"] == "sessions": a["sessions"] = 0
        if r["step"] == "desk":
            kept, a["desk"] = a["desk"], ""
            return {"kept": kept}
    elif op == "left":
        if r["step"] == "sessions": return {"left": "%d sessions" % a["sessions"] if a["sessions"] else ""}
        return {"left": "has " + a["desk"] if a["desk"] else ""}
    return {"receipt": "done-" + a["id"]}


for line in sys.stdin:
    r = json.loads(line)
    number = r["id"]
    with open(PATH, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with open(PATH + ".log", "a") as log: log.write(r["op"] + "\n")
        data = json.load(file)
        if r["op"] == "hello": out = {"hello": HELLO}
        elif os.environ.get("ROOMS_TOKEN") != "let-me-in": out = {"error": "unauthorized", "message": "wrong token " + os.environ.get("ROOMS_TOKEN", "")}
        else: out = answer(data, r["op"], r)
        file.seek(0)
        file.truncate()
        json.dump(data, file)
    say(**out)
