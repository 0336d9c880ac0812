package audit

import (
	"maps"
	"slices"
)

// Clone returns a copy of r that shares nothing with it.
func (r *Record) Clone() *Record {
	c := *r
	c.Who = clonePrincipal(r.Who)
	c.Database = clonePointer(r.Database)
	if c.SQL = clonePointer(r.SQL); c.SQL != nil {
		c.SQL.Args = slices.Clone(c.SQL.Args)
		c.SQL.Classes = slices.Clone(c.SQL.Classes)
		if c.SQL.Facts = clonePointer(c.SQL.Facts); c.SQL.Facts != nil {
			f := c.SQL.Facts
			for _, list := range []*[]string{&f.Reads, &f.Tests, &f.Writes, &f.Effects, &f.Unknown} {
				*list = slices.Clone(*list)
			}
		}
	}
	c.Verdict = clonePointer(r.Verdict)
	if c.Decision = clonePointer(r.Decision); c.Decision != nil {
		c.Decision.By = slices.Clone(c.Decision.By)
		for i := range c.Decision.By {
			c.Decision.By[i] = *clonePrincipal(&c.Decision.By[i])
		}
	}
	if c.Outcome = clonePointer(r.Outcome); c.Outcome != nil {
		if c.Outcome.Payload = clonePointer(c.Outcome.Payload); c.Outcome.Payload != nil {
			c.Outcome.Payload.Chunks = slices.Clone(c.Outcome.Payload.Chunks)
		}
	}
	c.Masks = slices.Clone(r.Masks)
	for i := range c.Masks {
		c.Masks[i].Sources = slices.Clone(c.Masks[i].Sources)
	}
	c.Detail = maps.Clone(r.Detail)
	c.Heads = slices.Clone(r.Heads)
	for i := range c.Heads {
		c.Heads[i].Key = slices.Clone(c.Heads[i].Key)
		c.Heads[i].Tail = clonePointer(c.Heads[i].Tail)
		c.Heads[i].Lost = slices.Clone(c.Heads[i].Lost)
	}
	if c.Seal = clonePointer(r.Seal); c.Seal != nil {
		c.Seal.Next = slices.Clone(c.Seal.Next)
		c.Seal.Sig = slices.Clone(c.Seal.Sig)
	}
	return &c
}

func clonePrincipal(p *Principal) *Principal {
	if p = clonePointer(p); p != nil {
		p.Groups = slices.Clone(p.Groups)
		p.Attributes = maps.Clone(p.Attributes)
	}
	return p
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
