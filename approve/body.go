package approve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/guardedpg/guardedpg/identity"
)

// An Event's Body is an envelope around what its Kind names. Times are
// durations from the event's At, because the clocks of agents, approvers and
// store differ.
type envelope[T any] struct {
	Version int `json:"v"`
	Data    T   `json:"data"`
}

type askedBody struct {
	Request storedRequest `json:"request"`
	Wait    time.Duration `json:"wait_ns"` // how long it may be decided
	Use     time.Duration `json:"use_ns"`  // how long a decision is good
}

type decidedBody struct {
	By      person  `json:"by"`
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"`
	Scope   Scope   `json:"scope,omitzero"`
}

type usedBody struct {
	Digest string `json:"digest"` // of the statement that used it
}

type revokedBody struct {
	By     person `json:"by"`
	Reason string `json:"reason,omitempty"`
}

type storedRequest struct {
	ID            string            `json:"id"`
	Digest        string            `json:"digest"`
	Shape         string            `json:"shape,omitempty"`
	Statement     []byte            `json:"statement"` // as base64: it may not be UTF-8
	Behind        []string          `json:"behind,omitempty"`
	Args          []string          `json:"args,omitempty"`
	Identity      person            `json:"identity"`
	Purpose       string            `json:"purpose,omitempty"`
	Database      string            `json:"database,omitempty"`
	Policy        string            `json:"policy,omitempty"`
	Rule          string            `json:"rule,omitempty"`
	Reason        string            `json:"reason,omitempty"`
	Effects       []string          `json:"effects,omitempty"`
	Rows          int64             `json:"rows"`
	Exact         int64             `json:"exact"`
	Groups        []string          `json:"groups,omitempty"`
	BreakGlass    []string          `json:"break_glass,omitempty"`
	Issuers       []string          `json:"issuers,omitempty"`
	Claims        map[string]string `json:"claims,omitempty"`
	Quorum        int               `json:"quorum,omitempty"`
	Ticket        bool              `json:"ticket,omitempty"`
	InTransaction bool              `json:"in_transaction,omitempty"`
}

func storeRequest(r Request) storedRequest {
	return storedRequest{
		ID: r.ID, Digest: r.Digest, Shape: r.Shape, Statement: []byte(r.Statement), Behind: r.Behind, Args: r.Args,
		Identity: storePerson(r.Identity), Purpose: r.Purpose, Database: r.Database, Policy: r.Policy,
		Rule: r.Rule, Reason: r.Reason, Effects: r.Effects, Rows: r.Rows, Exact: r.Exact,
		Groups: r.Groups, BreakGlass: r.BreakGlass, Issuers: r.Issuers, Claims: r.Claims, Quorum: r.Quorum,
		Ticket: r.Ticket, InTransaction: r.InTransaction,
	}
}

func (s storedRequest) request() Request {
	return Request{
		ID: s.ID, Digest: s.Digest, Shape: s.Shape, Statement: string(s.Statement), Behind: s.Behind, Args: s.Args,
		Identity: s.Identity.identity(), Purpose: s.Purpose, Database: s.Database, Policy: s.Policy,
		Rule: s.Rule, Reason: s.Reason, Effects: s.Effects, Rows: s.Rows, Exact: s.Exact,
		Groups: s.Groups, BreakGlass: s.BreakGlass, Issuers: s.Issuers, Claims: s.Claims, Quorum: s.Quorum,
		Ticket: s.Ticket, InTransaction: s.InTransaction,
	}
}

// person is an identity as stored. A store is believed: who can write to it as
// an approver can say who approved.
type person struct {
	Issuer     string            `json:"issuer"`
	Subject    string            `json:"subject"`
	Name       string            `json:"name,omitempty"`
	Groups     []string          `json:"groups,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Verified   bool              `json:"verified"`
}

func storePerson(i identity.Identity) person {
	return person{
		Issuer: i.Issuer(), Subject: i.Subject(), Name: i.Name(), Groups: i.Groups(),
		Attributes: i.Attributes(), Verified: i.Verified(),
	}
}

func (p person) identity() identity.Identity {
	if !p.Verified {
		return identity.Development(p.Subject, p.Groups...)
	}
	return identity.New(identity.Claims{
		Issuer: p.Issuer, Subject: p.Subject, Name: p.Name, Groups: p.Groups, Attributes: p.Attributes,
	})
}

func encode[T any](data T) []byte {
	out, err := json.Marshal(envelope[T]{1, data})
	if err != nil {
		panic("approve: " + err.Error()) // no field can fail
	}
	return out
}

// decode refuses what it does not know, so that a restriction that a newer
// version adds is not overlooked.
func decode[T any](raw []byte) (T, error) {
	var e envelope[T]
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return *new(T), errors.New("its body is not JSON of the known form")
	}
	if _, err := d.Token(); err != io.EOF {
		return *new(T), errors.New("something follows its body")
	}
	if e.Version != 1 {
		return *new(T), fmt.Errorf("it is of version %d, and only 1 is known", e.Version)
	}
	return e.Data, nil
}
