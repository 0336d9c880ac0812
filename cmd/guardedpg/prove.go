package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
)

const proveUsage = `usage: guardedpg prove TRAIL SEQ
       guardedpg prove --check PROOF --key KEY

Takes record SEQ out of TRAIL, the directory of one process, and prints it as
JSON with the proof that it is there: a hash path to a seal, as a signed note.
Who has the proof needs nothing else of the trail. --check checks the one in the
file PROOF against the verifier key KEY, which must come from somebody who
verified the trail; the proof's own is worth no more than the proof.

Exit codes: 0 printed, or it holds; 1 it does not hold; 2 wrong arguments, or
something could not be read.

`

func prove(_ context.Context, args []string, e env) int {
	fs := flag.NewFlagSet("prove", flag.ContinueOnError)
	fs.SetOutput(e.stderr)
	fs.Usage = func() {
		io.WriteString(e.stderr, proveUsage)
		fs.PrintDefaults()
	}
	check := fs.String("check", "", "check the proof in this `file`")
	key := fs.String("key", "", "the verifier `key` to check it against")
	rest, err := parseMixed(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case *check != "" && *key != "" && len(rest) == 0:
		return checkProof(*check, *key, e)
	case *check != "" || *key != "":
		return wrong(e, "prove", "--check FILE and --key KEY go together, and with nothing else")
	case len(rest) != 2:
		return wrong(e, "prove", "want the directory of one process's trail and the number of a record")
	}
	if trails, err := audit.Trails(rest[0]); err == nil && (len(trails) != 1 || filepath.Base(trails[0]) != filepath.Base(rest[0])) {
		return wrong(e, "prove", "%s is not the directory of one process's trail: those are the directories in that of the trails", rest[0])
	}
	seq, err := strconv.ParseUint(rest[1], 10, 64)
	if err != nil || seq == 0 {
		fmt.Fprintf(e.stderr, "guardedpg prove: %q is no number of a record\n", rest[1])
		return exitUsage
	}
	p, err := audit.Prove(rest[0], seq)
	if err != nil {
		fmt.Fprintf(e.stderr, "guardedpg prove: %v\n", err)
		return exitUsage
	}
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return exitUsage
	}
	return exitOK
}

func checkProof(file, key string, e env) int {
	data, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintf(e.stderr, "guardedpg prove: %v\n", err)
		return exitUsage
	}
	var p audit.Proof
	if err := json.Unmarshal(data, &p); err != nil {
		fmt.Fprintf(e.stderr, "guardedpg prove: %s is no proof\n", file)
		return exitUsage
	}
	if err := p.Check(key); err != nil {
		fmt.Fprintf(e.stderr, "guardedpg prove: %v\n", err)
		return exitFound
	}
	fmt.Fprintf(e.stdout, "it holds: the trail has this record %d\n%s\n", p.Seq, approve.Printable(string(p.Line)))
	return exitOK
}
