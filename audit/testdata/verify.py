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
        self.origin, self.key, self.torn = self.name, b"", None

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
                    self.origin, self.heads = rec["detail"]["origin"], rec.get("heads", [])
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
                leaf = hashlib.sha256(b"\0" + line).digest()
                self.hashes.append(leaf)
                size = 1
                while edges and edges[-1][0] == size:  # RFC 6962, section 2.1
                    size, leaf = 2 * size, hashlib.sha256(b"\1" + edges.pop()[1] + leaf).digest()
                edges.append((size, leaf))
            if lines[-1] and self.closed:
                return self.bad("bytes stand after the end")
            if lines[-1] and i + 1 < len(self.segments) and not cut:
                return self.bad("the segment ends in the middle of a record")
        if cut and tail.hexdigest() != cut["sha256"]:
            self.bad("the torn end is not as the next trail found it")

    def compare(self, head, who, end):
        n = head["seq"]
        if head.get("key") and base64.b64decode(head["key"]) != self.key:
            self.bad("%s knows another first key" % who)
        elif n >= len(self.hashes) or end and n != len(self.hashes) - 1:
            self.bad("%s has seen the end at %d" % (who, n))
        elif base64.b64decode(head["hash"]) != self.hashes[n]:
            self.bad("%s has seen another record %d" % (who, n))

def main(directory, anchor=None):
    trails = {n: Trail(os.path.join(directory, n)) for n in sorted(os.listdir(directory)) if re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}", n)}
    wrong, ends = [], {}
    for t in reversed(trails.values()):  # a successor says where its predecessor ended
        t.check(ends.get(t.name, {}).get("tail"))
        ends.update({h["origin"].split("/")[-1]: h for h in t.heads})
    for name, h in ends.items():
        if name in trails:
            trails[name].compare(h, "a later trail", True)
        else:
            wrong.append("%s: the whole trail is gone" % h["origin"])
    for h in map(json.loads, open(anchor)) if anchor else ():
        name = h["origin"].split("/")[-1]
        if name in trails:
            trails[name].compare(h, "the anchor", False)
        else:
            wrong.append("%s: the whole trail is gone; the anchor has seen it" % h["origin"])
    for t in trails.values():
        wrong += t.wrong
        end = "closed" if t.closed else "succeeded" if t.name in ends else "not closed"
        print("%s: %d records, sealed to %d, %s" % (t.origin, len(t.hashes) - 1, t.sealed, end))
    for w in wrong:
        print("TAMPERED " + w)
    return 1 if wrong else 0 if all(t.closed or t.name in ends for t in trails.values()) else 3

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
