package mask

import "strings"

// compileText binds the masks that read text, or gives nil for any other.
func (s Spec) compileText(sh *shape) *Masker {
	var mask func(string) string
	var owns func(string) Likeness
	switch s.name {
	case "partial":
		mask, owns = s.partial, s.ownsPartial
	case "email":
		mask, owns = maskEmail, ownsEmail
	case "card":
		mask, owns = maskCard, ownsCard
	case "phone":
		mask, owns = maskPhone, ownsPhone
	case "iban":
		mask, owns = maskIBAN, ownsIBAN
	case "name":
		mask, owns = maskName, ownsName
	case "text":
		mask, owns = maskEntities, ownsEntities
	case "code":
		mask, owns = maskCode, ownsCode
	default:
		return nil
	}
	if sh.trim {
		whole := mask
		mask = func(text string) string { return whole(strings.TrimRight(text, " ")) }
	}
	return textMasker(mask, isMaskedText(owns))
}
