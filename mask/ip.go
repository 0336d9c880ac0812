package mask

import (
	"database/sql/driver"
	"net/netip"
)

// compileIP keeps the network of an address: 203.0.113.7 gives 203.0.113.0/24.
// A network that is wider already stays. In a text column what is no address
// is masked whole.
func (s Spec) compileIP(sh *shape) *Masker {
	if sh.fam != famInet && sh.fam != famCIDR && sh.fam != famText {
		return nil
	}
	network := func(p netip.Prefix) netip.Prefix {
		bits := s.v6
		if p.Addr().Is4() {
			bits = s.v4
		}
		return netip.PrefixFrom(p.Addr(), min(bits, p.Bits())).Masked()
	}
	return &Masker{
		mask: func(v driver.Value) driver.Value {
			text, ok := v.(string)
			if !ok {
				return nil
			}
			p, ok := parseIP(text)
			switch {
			case ok:
				return network(p).String()
			case sh.fam == famText:
				return Stars
			}
			return nil
		},
		owns: isMaskedText(func(text string) Likeness {
			if p, ok := parseIP(text); ok && network(p) == p {
				return Ambiguous
			}
			return Unlike
		}),
	}
}
