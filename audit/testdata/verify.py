#!/usr/bin/env python3
"""An independent verifier of guardedpg trails: only Python's standard library.

usage: verify.py DIR [ANCHOR]

DIR holds trails; ANCHOR is a file of heads, one JSON object in each line. Exit
codes: 0 all as it was written, 1 altered, 3 the end of a trail cannot be known.
The format is specified in the documentation of Go's package audit.
"""
import base64, hashlib, json, os, re, sys

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, I = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)

def add(p, q):  # RFC 8032, section 5.1.4
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P

def mul(n, p):
    q = (0, 1, 1, 0)
    while n:
        q, p, n = add(q, p) if n & 1 else q, add(p, p), n >> 1
    return q

def point(b):
    n = int.from_bytes(b, "little")
    y, sign = n & (2**255 - 1), n >> 255
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    x = x if x * x % P == x2 else x * I % P
    if y >= P or x * x % P != x2 or (x == 0 and sign):
        return None
    return (x, y, 1, x * y % P) if x & 1 == sign else (P - x, y, 1, (P - x) * y % P)

BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def signed(key, text, sig):
    a, r, s = point(key), point(sig[:32]), int.from_bytes(sig[32:], "little")
    if len(key) != 32 or len(sig) != 64 or a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(sig[:32] + key + text).digest(), "little") % L
    p, q = mul(s, BASE), add(r, mul(h, a))
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0

class Trail:
    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)
        self.hashes, self.wrong, self.heads, self.sealed, self.closed = [b"\0" * 32], [], [], 0, False
        self.segments = sorted(f for f in os.listdir(path) if re.fullmatch(r"\d{8}\.jsonl", f))
        self.origin, self.key, self.torn, self.tombs, self.covered = self.name, b"", False, [], False
        if self.segments:
            first = open(os.path.join(path, self.segments[0]), "rb").readline()
            try:
                self.heads = json.loads(first).get("heads", [])
            except (ValueError, AttributeError):
                pass  # check finds it

    def bad(self, what):
        self.wrong.append("%s: record %d: %s" % (self.origin, len(self.hashes), what))

    def check(self, cut):
        edges, key, tail = [], None, hashlib.sha256()  # roots of complete subtrees: (leaves, hash)
        for i, f in enumerate(self.segments):
            if int(f[:8]) != i + 1:
                return self.bad("segment %08d is gone" % (i + 1))
            data = open(os.path.join(self.path, f), "rb").read().rstrip(b"\0")
            if cut and i + 1 >= cut["segment"]:
                at = cut["offset"] if i + 1 == cut["segment"] else 0
                tail.update(data[at:])
                data = data[:at]
            lines = data.split(b"\n")
            for n, line in enumerate(lines[:-1]):
                head = re.match(rb'\{"seq":([1-9]\d*),"prev":"([^"]{44})","time":"([^"]*)","kind":"([a-z_]+)","trail":"([^"]*)"[,}]', line)
                try:
                    rec = json.loads(line)
                except ValueError:
                    head = None
                if not head or head[5].decode() != self.name:
                    return self.bad("this is no record")
                if int(head[1]) != len(self.hashes) or base64.b64decode(head[2]) != self.hashes[-1]:
                    return self.bad("it does not follow the record before")
                if self.closed:
                    return self.bad("it stands after the end")
                if len(self.hashes) == 1:
                    self.origin = rec["detail"]["origin"]
                    self.key = key = base64.b64decode(rec["detail"]["key"])
                if rec["kind"] == "seal":
                    s, root = rec["seal"], b"\0" * 32
                    for k, (_, h) in enumerate(reversed(edges)):
                        root = h if k == 0 else hashlib.sha256(b"\1" + h + root).digest()
                    text = "%s\n%d\n%s\nhead %s\ntime %s\nnext %s\n" % (
                        self.origin, rec["seq"] - 1, s["root"], rec["prev"], rec["time"], s["next"])
                    want = {k: rec[k] for k in ("seq", "prev", "time", "kind", "trail")}
                    want["seal"] = {k: s[k] for k in ("root", "next", "sig")}
                    if json.dumps(want, separators=(",", ":")).encode() != line or base64.b64decode(s["root"]) != root:
                        return self.bad("the seal was made over other records")
                    if base64.b64encode(base64.b64decode(s["sig"])).decode() != s["sig"] or not signed(
                            key, text.encode(), base64.b64decode(s["sig"])):
                        return self.bad("the seal is not signed by the key that had to sign")
                    key, self.closed, self.sealed = base64.b64decode(s["next"]), s["next"] == "", rec["seq"]
                if rec["kind"] == "tombstone":
                    self.tombs += [(rec["seq"], h) for h in rec.get("heads", [])]
                leaf = hashlib.sha256(b"\0" + line).digest()
                self.hashes.append(leaf)
                size = 1
                while edges and edges[-1][0] == size:  # RFC 6962, section 2.1
                    size, leaf = 2 * size, hashlib.sha256(b"\1" + edges.pop()[1] + leaf).digest()
                edges.append((size, leaf))
            self.torn = self.torn or lines[-1] != b""
            if lines[-1] and self.closed:
                return self.bad("bytes stand after the end")
            if lines[-1] and i + 1 < len(self.segments) and not cut:
                return self.bad("the segment ends in the middle of a record")
        if cut and tail.hexdigest() != cut["sha256"]:
            self.bad("the torn end is not as the next trail found it")

    def compare(self, head, who, end):
        n = head["seq"]
        self.covered = self.covered or not end
        if head.get("key") and base64.b64decode(head["key"]) != self.key:
            self.bad("%s knows another first key" % who)
        elif n >= len(self.hashes) or end and n != len(self.hashes) - 1:
            self.bad("%s has seen the end at %d" % (who, n))
        elif base64.b64decode(head["hash"]) != self.hashes[n]:
            self.bad("%s has seen another record %d" % (who, n))
        elif end and self.torn and not head.get("tail"):
            self.bad("bytes stand after the end that %s has seen" % who)

def main(directory, anchor=None):
    trails = {n: Trail(os.path.join(directory, n)) for n in sorted(os.listdir(directory)) if re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}", n)}
    ends = {h["origin"].split("/")[-1]: h for t in trails.values() for h in t.heads}
    for t in trails.values():  # a successor says where its predecessor ended
        t.check(ends.get(t.name, {}).get("tail"))
    seen = [(h["origin"].split("/")[-1], h) for h in map(json.loads, open(anchor))] if anchor else []
    for who, end, heads in ("a later trail", True, ends.items()), ("the anchor", False, seen):
        for name, h in heads:
            if name in trails:
                trails[name].compare(h, who, end)
    for _ in trails:  # what the anchor has seen covers what that names
        for t in trails.values():
            for h in t.heads if t.covered else ():
                if h["origin"].split("/")[-1] in trails:
                    trails[h["origin"].split("/")[-1]].covered = True
    gone = {h["origin"].split("/")[-1] for t in trails.values() if not t.wrong and (t.covered or not anchor)
            for seq, h in t.tombs if seq <= t.sealed and not h["origin"].endswith(t.name)}
    trails = {n: t for n, t in trails.items() if n not in gone}
    wrong = [n + ": the whole trail is gone" for n in sorted(set(ends) | {n for n, _ in seen}) if n not in trails and n not in gone]
    for t in trails.values():
        wrong += t.wrong
        end = "closed" if t.closed else "succeeded" if t.name in ends else "not closed"
        print("%s: %d records, sealed to %d, %s" % (t.origin, len(t.hashes) - 1, t.sealed, end))
    for w in wrong:
        print("TAMPERED " + w)
    return 1 if wrong else 0 if all(t.covered if anchor else t.closed for t in trails.values()) and all(
        t.closed or t.name in ends for t in trails.values()) else 3

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
