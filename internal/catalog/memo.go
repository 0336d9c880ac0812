package catalog

// Memo returns what compute gave for key the first time that it was asked for
// this snapshot: parsed definitions live and die with it. compute may run more
// than once when several ask at the same time.
func (s *Snapshot) Memo(key any, compute func() any) any {
	if v, ok := s.memo.Load(key); ok {
		return v
	}
	v, _ := s.memo.LoadOrStore(key, compute())
	return v
}

// Readable reports whether the relation has rows that a query can name.
func (r *Relation) Readable() bool {
	switch r.Kind {
	case 'r', 'p', 'v', 'm', 'f', 'S', 't':
		return true
	}
	return false
}
