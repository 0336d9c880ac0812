package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/guardedpg/guardedpg/approve"
	"github.com/guardedpg/guardedpg/audit"
	"github.com/guardedpg/guardedpg/audit/pganchor"
)

const pruneUsage = `usage: guardedpg prune --before TIME [FLAGS] DIR

Deletes the trails in DIR whose last record is older than TIME, and records that
first, in a trail of its own: "guardedpg verify" then says so instead of missing
them. Trails that run, or whose end no later trail has named, stay.

Exit codes: 0 done, even if there was nothing to delete; 2 wrong arguments, or
something could not be done.

`

const shredUsage = `usage: guardedpg shred --before TIME [--class CLASS] [FLAGS] DIR

Deletes the keys of a retention class for the days before TIME, and records that
first, in a trail of its own. What was sealed under them can never be opened
again, by nobody; the trails still verify. The keys of today stay while processes
run that may seal with them: it then deletes none and says which process it is.

Exit codes: 0 done, even if there was nothing to delete; 2 wrong arguments, or
something could not be done.

`

// keeping is what prune and shred have in common: they write into DIR.
type keeping struct {
	name   string
	flags  *flag.FlagSet
	before time.Time
	cfg    audit.TrailConfig
	anchor string
}

func newKeeping(name, usage string, e env) *keeping {
	k := &keeping{name: name, flags: flag.NewFlagSet(name, flag.ContinueOnError)}
	k.flags.SetOutput(e.stderr)
	k.flags.Usage = func() {
		io.WriteString(e.stderr, usage)
		k.flags.PrintDefaults()
	}
	k.flags.Func("before", "what is older than this `time`: RFC 3339, a date, or how long ago, as 8760h", func(s string) (err error) {
		k.before, err = parseTime(s)
		return err
	})
	k.flags.StringVar(&k.cfg.Name, "name", "guardedpg", "the `name` that the trails in DIR have")
	k.flags.StringVar(&k.anchor, "anchor", "", "anchor the record too, in the database at this `URL`; needed where trails are verified against an anchor")
	return k
}

// run opens a trail in DIR for do.
func (k *keeping) run(ctx context.Context, args []string, e env, do func(context.Context, *audit.Trail) error) int {
	rest, err := parseMixed(k.flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case k.before.IsZero():
		return wrong(e, k.name, "before when? Give --before")
	case len(rest) != 1:
		return wrong(e, k.name, "name one directory of trails")
	}
	fail := func(err error) int {
		fmt.Fprintf(e.stderr, "guardedpg %s: %v\n", k.name, err)
		return exitUsage
	}
	// Opening a trail would make the directory.
	if trails, err := audit.Trails(rest[0]); err != nil {
		return fail(err)
	} else if len(trails) == 0 || len(trails) == 1 && trails[0] == strings.TrimSuffix(rest[0], "/") {
		return fail(fmt.Errorf("%s is no directory of trails", rest[0]))
	}
	k.cfg.Dir = rest[0]
	if k.anchor != "" {
		table, err := pganchor.Open(ctx, k.anchor)
		if err != nil {
			return fail(err)
		}
		defer table.Close()
		k.cfg.Anchor = table
	}
	trail, err := audit.Open(k.cfg)
	if err != nil {
		return fail(err)
	}
	err = do(ctx, trail)
	if err = errors.Join(err, trail.Close()); err != nil {
		return fail(err)
	}
	return exitOK
}

func prune(ctx context.Context, args []string, e env) int {
	k := newKeeping("prune", pruneUsage, e)
	return k.run(ctx, args, e, func(ctx context.Context, t *audit.Trail) error {
		gone, err := t.Prune(ctx, k.before)
		for _, origin := range gone {
			fmt.Fprintf(e.stdout, "deleted %s\n", approve.Printable(origin))
		}
		fmt.Fprintf(e.stdout, "%s deleted\n", plural(len(gone), "trail"))
		return err
	})
}

func shred(ctx context.Context, args []string, e env) int {
	k := newKeeping("shred", shredUsage, e)
	class := "default"
	k.flags.Func("class", "the retention `class` (default \"default\")", func(s string) error {
		if class = s; !audit.ValidClass(s) {
			return errors.New("a class has lower case, digits, _ and - only")
		}
		return nil
	})
	return k.run(ctx, args, e, func(ctx context.Context, t *audit.Trail) error {
		n, err := t.Shred(ctx, class, k.before)
		fmt.Fprintf(e.stdout, "%s deleted\n", plural(n, "key"))
		return err
	})
}
