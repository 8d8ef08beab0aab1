#!/usr/bin/env python3
# A program that behaves, but for what it is asked about the account "bad": there it does what its argument names. STATE
# is a folder with a file for each account; the groups of processes that it ran in are noted in STATE.groups.
import glob, json, os, subprocess, sys, time

mode, state = sys.argv[1], os.environ["STATE"]


def living(group):
    for name in glob.glob("/proc/[0-9]*/stat"):
        try:
            fields = open(name).read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[2] == group and fields[0] not in "ZX":
            return True
    return False


with open(state + ".groups", "a+") as file:
    file.seek(0)
    before = file.read().split()
    if any(living(g) for g in before if g.isdigit()): file.write("overlap\n")
    file.write("%d\n" % os.getpgrp())


def line(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def bomb(depth):
    for _ in range(2):
        if depth and os.fork() == 0: bomb(depth - 1)
    time.sleep(90)


def misbehave(number):
    if mode == "endless":
        while True: sys.stdout.write("x" * 65536)
    if mode == "junk": line("no such user")
    if mode == "list": line("[1, 2, 3]")
    if mode == "misspelt": line(json.dumps({"id": number, "actve": True}))
    if mode == "latin1": os.write(1, b'{"id": %d, "left": "\xe9"}\n' % number)
    if mode == "wrong-id": line(json.dumps({"id": number + 1}))
    if mode == "twice":
        line(json.dumps({"id": number}))
        return line(json.dumps({"id": number}))
    if mode == "half":
        sys.stdout.write('{"id": %d, "rec' % number)
        sys.stdout.flush()
        sys.exit(1)
    if mode == "exit-0":
        print("usermod: user 'bad' does not exist")
        sys.exit(0)
    if mode == "dies": sys.exit(3)
    if mode == "background": subprocess.Popen(["sleep", "90"])
    if mode == "escaped": subprocess.Popen(["sleep", "20"], start_new_session=True)
    if mode == "bomb": bomb(6)
    if mode == "noise":
        for _ in range(80): os.write(2, b"\xff\x1b[31m\x07 noise of the program\n" * 2600)
        os.write(2, b"\xfe" * 1000000)
        return line(json.dumps({"id": number}))
    if mode == "lies": return line(json.dumps({"id": number}))
    if mode == "secret": return line(json.dumps({"id": number, "error": "unavailable", "message": "\x1b[2J with " + os.environ["TOKEN"]}))
    if mode == "unknown": return line(json.dumps({"id": number, "error": "eight", "message": "userdel: user bad is used by process 7"}))
    time.sleep(90)


hello = {"version": 1, "name": "hostile", "operations": ["accounts", "account", "enable", "disable"]}
while True:
    text = sys.stdin.readline()
    if not text: break
    r = json.loads(text)
    number, op, account = r["id"], r["op"], r.get("account", {})
    names = sorted(os.listdir(state))
    if op == "hello":
        line(json.dumps({"id": number, "hello": hello}))
        if mode == "deaf": time.sleep(90)
    elif op == "accounts" and mode == "drip":
        for n in range(10**9):
            line(json.dumps({"id": number, "account": {"id": str(n), "userName": "u%d" % n, "active": True}}))
            time.sleep(0.01)
    elif op == "accounts":
        for name in names:
            line(json.dumps({"id": number, "account": {"id": name, "userName": name, "active": open(state + "/" + name).read() == "1"}}))
        line(json.dumps({"id": number, "end": True, "count": len(names)}))
    elif account["id"] not in names: line(json.dumps({"id": number, "error": "not_found"}))
    elif op == "account":
        on = open(state + "/" + account["id"]).read() == "1"
        line(json.dumps({"id": number, "account": {"id": account["id"], "userName": account["id"], "active": on}}))
    elif account["id"] == "bad": misbehave(number)
    else:
        open(state + "/" + account["id"], "w").write("1" if op == "enable" else "0")
        line(json.dumps({"id": number}))
