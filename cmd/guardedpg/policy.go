package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	driver "github.com/guardedpg/guardedpg"
	"github.com/guardedpg/guardedpg/guard"
)

const policyUsage = `usage: guardedpg policy check FILE
       guardedpg policy test CASES...
       guardedpg policy explain FILE -sql TEXT
       guardedpg policy pack [NAME]

check reads a configuration file and says what is wrong with it, one line per
mistake with file, line and key. What the policy names is looked up in a
database when a connection is made, not here.

test checks that a policy decides as cases expect, and explain says why it
decides as it does; "guardedpg policy test -h" and "explain -h" say more.

pack prints a built-in pack of rules, or the names of all.

Exit codes: 0 the file is right; 1 it is not; 2 wrong arguments, or it could not
be read.
`

func policyCommand(ctx context.Context, args []string, e env) int {
	if len(args) == 0 {
		io.WriteString(e.stderr, policyUsage)
		return exitUsage
	}
	switch {
	case args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help":
		io.WriteString(e.stdout, policyUsage)
		return exitOK
	case args[0] == "check" && len(args) == 2:
		return policyCheck(args[1], e)
	case args[0] == "test":
		return policyTest(ctx, args[1:], e)
	case args[0] == "explain":
		return policyExplain(ctx, args[1:], e)
	case args[0] == "pack" && len(args) <= 2:
		return policyPack(args[1:], e)
	}
	switch args[0] {
	case "check":
		return wrong(e, "policy", "check takes one file")
	case "pack":
		return wrong(e, "policy", "pack takes one name")
	}
	return wrong(e, "policy", "there is no command %q", args[0])
}

func policyCheck(path string, e env) int {
	cfg, err := driver.LoadConfig(path)
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		if unread := (*fs.PathError)(nil); errors.As(err, &unread) {
			return exitUsage
		}
		return exitFound
	}
	engine, err := guard.Compile(cfg.Policy)
	if err != nil {
		fmt.Fprintln(e.stderr, err)
		return exitFound
	}
	p := cfg.Policy
	fmt.Fprintf(e.stdout, "%s is right: %s, %s, %s\n", path, count(len(p.Protect), "protected pattern"),
		count(len(p.Critical), "critical pattern"), count(len(p.Rules), "rule"))
	if len(p.Include) > 0 {
		fmt.Fprintf(e.stdout, "includes %s; no rule: %s\n", strings.Join(p.Include, ", "), p.Default)
	} else {
		fmt.Fprintf(e.stdout, "includes no pack; no rule: %s\n", p.Default)
	}
	fmt.Fprintf(e.stdout, "policy %s\n", engine.Hash())
	return exitOK
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func policyPack(names []string, e env) int {
	if len(names) == 0 {
		fmt.Fprintln(e.stdout, strings.Join(guard.Packs(), "\n"))
		return exitOK
	}
	source := guard.PackSource(names[0])
	if source == nil {
		fmt.Fprintf(e.stderr, "guardedpg policy: there is no pack %q; there are %s\n", names[0], strings.Join(guard.Packs(), ", "))
		return exitUsage
	}
	e.stdout.Write(source)
	return exitOK
}
